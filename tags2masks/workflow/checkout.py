"""The files of a checkout that are no modules: Snakefile, rules, configs, the Slurm profile.

A clone has them beside the packages, a wheel in `tags2masks/checkout` (hatch_build.py).
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tags2masks.errors import UserError
from tags2masks.workflow.sources import ROOT

IN_WHEEL = ROOT / "tags2masks" / "checkout"
CHECKOUT = IN_WHEEL if IN_WHEEL.is_dir() else ROOT
DEMO = Path("config.yaml")
EXAMPLES = ("config.yaml", "papers", "slurm")

OURS = ("--configfile", "--configfiles", "--snakefile", "-s")
# Options after which Snakemake asks for no number of cores, or that give it.
CORES = ("--cores", "-c", "--jobs", "-j", "--profile", "--workflow-profile", "--executor", "-e")


def snakemake_command(config: Path, arguments: Sequence[str]) -> list[str]:
    """The command line of a run of a config in the working directory.

    arguments: Snakemake's own. Without a number of cores, a profile or an executor among them it is
    all cores of this machine. Raises UserError if they name another config or Snakefile.
    """
    for argument in arguments:
        if argument.partition("=")[0] in OURS:
            raise UserError(
                f"{argument}: `tags2masks run CONFIG` gives Snakemake the config and its "
                "Snakefile; leave this out"
            )
    limited = "SNAKEMAKE_PROFILE" in os.environ or any(
        argument.startswith(CORES) for argument in arguments
    )
    command = [sys.executable, "-m", "snakemake", "--configfile", str(config)]
    # The config comes first: it takes all words up to the next option, as targets would be.
    command += ["--snakefile", str(CHECKOUT / "Snakefile")]
    return [*command, *([] if limited else ["--cores", "all"]), *arguments]


def start_command(config: Path | str) -> str:
    """What people type to run a config in the working directory: a clone, or any other folder."""
    if Path("Snakefile").is_file():
        return f"snakemake --cores 2 --configfile {config}"
    return f"tags2masks run {config} --cores 2"


def given_config(file: Path) -> Path:
    """The config file of a run; of the demo if `config.yaml` is asked for and not here.

    The second is said on standard error. Raises UserError for another absent file.
    """
    if os.path.lexists(file):
        return file
    if file != DEMO:
        raise UserError(
            f"{file} does not exist; correct its path, or let `tags2masks examples` write "
            "config.yaml, papers/ and slurm/ into this folder"
        )
    print("no config.yaml in this folder: the demo's is used", file=sys.stderr, flush=True)
    return CHECKOUT / DEMO


def copy_examples(folder: Path) -> list[Path]:
    """Copy the demo's config, the papers' configs and the Slurm profile into a folder.

    Returns their paths. Raises UserError, before any is copied, if one is there.
    """
    copies = [folder / name for name in EXAMPLES]
    if there := [copy for copy in copies if os.path.lexists(copy)]:
        raise UserError(
            f"{', '.join(map(str, there))}: already here; rename it, or use an empty folder"
        )
    for copy in copies:
        original = CHECKOUT / copy.name
        if original.is_dir():
            shutil.copytree(original, copy)
        else:
            shutil.copyfile(original, copy)
    return copies
