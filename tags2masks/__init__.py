"""The library: no Snakemake in it, usable from a notebook."""
