"""The programs, one per kind of job: they take arguments, and run without Snakemake too."""

from tags2masks.postponed import postpone_compiler

postpone_compiler()
