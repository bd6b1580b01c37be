"""The programs, one per kind of job: they take arguments, and run without Snakemake too."""
