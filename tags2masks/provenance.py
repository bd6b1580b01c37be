"""Provenance of artifacts: recipe, supervision and versions, written into each artifact.

A model has it in spec.json, a background score in score.json, a shard in the attributes of its Zarr
group. The provenance of an artifact and of all artifacts upstream is its lineage.
"""

import json
import platform
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.given import read_text
from tags2masks.methods import block_of
from tags2masks.stages import STAGES, unnumbered
from tags2masks.supervision import SOURCES
from tags2masks.workflow.ids import artifact_id, canonical, digest

# Packages whose version can change results.
PACKAGES = ("tags2masks", "torch", "timm", "numpy", "scikit-image", "scikit-learn", "pydensecrf2")

# Keys that every recipe has.
RECIPE = {"stage", "method", "spec", "upstream"}

SEAL = "digest"

# The files of `write_record`: of networks, and of stages whose single file is JSON.
RECORDS = ("spec.json", *(s.file for s in STAGES.values() if (s.file or "").endswith(".json")))


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that compute."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    return installed


def provenance(recipe: dict) -> dict:
    """The provenance of an artifact that is made from this recipe by this installation."""
    return {
        "id": artifact_id(recipe),
        "recipe": recipe,
        "learns_from": list(block_of(recipe).model_construct(**recipe["spec"]).learns_from),
        "versions": versions(),
    }


def is_made(folder: Path) -> bool:
    """Whether an artifact, or a shard of it, is in the folder, and not only states on the way."""
    records = any((folder / name).exists() for name in RECORDS)
    return records or any(folder.glob("[!.]*.zarr.zip"))


def read_provenance(folder: Path) -> dict:
    """Read the provenance of the artifact in a folder.

    Raises UserError naming the file if it is absent, unreadable or not valid.
    """
    try:
        for record in (folder / name for name in RECORDS):
            if record.exists():
                return read_record(record)
        # Not by `Shard`, for speed: thousands of shards are read, one small member of each.
        with zipfile.ZipFile(
            min(folder.glob("[!.]*.zarr.zip"), default=folder / "0.zarr.zip")
        ) as archive:
            said = json.loads(archive.read("zarr.json"))["attributes"]
        return check_provenance(said, folder)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{folder}: not made yet; run the workflow") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder}: not readable ({error}); delete it and run again") from None


def write_record(path: Path | str, record: dict) -> None:
    """Write a file that holds an artifact's provenance, as indented JSON with a digest."""
    with written_whole(path) as beside:
        text = json.dumps(sealed(record), indent=2, ensure_ascii=False)
        beside.write_text(f"{text}\n", encoding="utf-8")


def read_record(path: Path | str) -> dict:
    """Read a file of `write_record`.

    Raises UserError naming the file if it is absent, unreadable or not valid.
    """
    try:
        record = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({error}); delete it and run again") from None
    return check_provenance(record, path)


def sealed(said: dict) -> dict:
    """Add a digest, so that `check_provenance` can detect changes."""
    return said | {SEAL: digest(canonical(said))}


def check_provenance(said: object, where: Path | str) -> dict:
    """Return a provenance without its digest if it is valid and unchanged.

    Raises UserError naming `where` otherwise.
    """
    recipe = said.get("recipe") if isinstance(said, dict) else None
    if not isinstance(recipe, dict) or not recipe.keys() >= RECIPE or "id" not in said:
        raise UserError(f"{where}: does not say what it was made from; delete it and run again")
    rest = {name: value for name, value in said.items() if name != SEAL}
    if SEAL in said and said[SEAL] != digest(canonical(rest)):
        raise UserError(f"{where}: damaged: not what was written; delete it and run again")
    return rest


def lineage(results: Path, dataset: str, stage: str, id: str) -> list[dict]:
    """The provenance of an artifact and of all artifacts upstream, in the order of making.

    `learns_from` is the supervision that an artifact's own method reads, `supervision` that of the
    artifact and all artifacts upstream. Raises UserError if one of them is not made yet.
    """
    chain: dict[tuple[str, str], dict] = {}

    def follow(stage: str, id: str) -> set[str]:
        if (stage, id) not in chain:
            said = read_provenance(results / dataset / stage / id)
            reached = set(said["learns_from"])
            for role, upstream in said["recipe"]["upstream"].items():
                reached |= follow(made_by(role, upstream), upstream)
            kept = {name: said[name] for name in ("id", "recipe", "learns_from", "versions")}
            supervision = [source for source in SOURCES if source in reached]
            chain[stage, id] = {"stage": stage} | kept | {"supervision": supervision}
        return set(chain[stage, id]["supervision"])

    def made_by(role: str, id: str) -> str:
        # The role is the name of the stage, numbered if there are several, or of the one in whose
        # place the stage's artifact is.
        others = [name for name, stage in STAGES.items() if stage.replaces == role]
        made = (name for name in others if (results / dataset / name / id).exists())
        return next(made, unnumbered(role))

    follow(stage, id)
    return list(chain.values())
