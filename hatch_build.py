"""What a wheel has beside its packages: the files of a clone that are no modules."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CHECKOUT = ("Snakefile", "rules", "config.yaml", "papers", "slurm", "docs/config.schema.json")
"""Files and folders of the root; tags2masks/workflow/checkout.py finds them in a wheel."""


class Checkout(BuildHookInterface):
    """Puts them into `tags2masks/checkout`; an editable install uses those of the clone."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Called by hatchling. version: `editable` or `standard`."""
        if version != "editable":
            places = {name: f"tags2masks/checkout/{name}" for name in CHECKOUT}
            build_data["force_include"] |= places
