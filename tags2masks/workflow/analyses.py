"""The tables of analyses that a config asks for, and the artifacts that these are of."""

from tags2masks.config.base import ConfigError
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.catalog import Catalog

FILES = {  # by the analysis; what is no table is for pictures
    "gradients": ("gradients.csv", "gradients.zarr.zip"),
    "landscape": ("landscape.csv",),
    "climbs": ("climbs.csv",),
    "untagged": ("untagged.zarr.zip",),
    "region_pictures": ("regions.csv", "regions.zarr.zip"),
    "heads": ("head_losses.csv", "head_places.csv"),
    "proposals": ("proposals.csv", "proposals.zarr.zip"),
}


def analysis_files(catalog: Catalog) -> list[str]:
    """The files of all analyses.

    Raises ConfigError for an analysis that no artifact of an experiment is for.
    """
    found = {
        "gradients": _planted(catalog),
        "landscape": catalog.of_stage("classifier"),
        "climbs": _maps_for("climbs", catalog),
        "untagged": _of_classifiers(catalog),
        "region_pictures": _beside_cams(catalog),
        "heads": _with_heads(catalog),
        "proposals": _made_for("proposals", "boxgrad", catalog),
    }
    missing = {
        "gradients": "maps of rib on a mnist data set with `planted`",
        "landscape": "a classifier",
        "climbs": "maps of advcam",
        "untagged": "maps that a classifier alone gives",
    }
    files = []
    for name, artifacts in found.items():
        if getattr(catalog.config.evaluation, name) is None:
            continue
        if not artifacts:
            raise ConfigError(f"evaluation.{name}: no experiment has {missing[name]}; add one")
        files += [f"{a.folder}/{file}" for a in artifacts for file in FILES[name]]
    return files


def _maps_for(name: str, catalog: Catalog) -> list[Artifact]:
    return [a for a in catalog.of_stage("maps") if name in a.block.analyses]


def _of_classifiers(catalog: Catalog) -> list[Artifact]:
    return [
        a
        for a in catalog.of_stage("maps")
        if a.block.program is None and "masks" not in a.block.helpers
    ]


def _planted(catalog: Catalog) -> list[Artifact]:
    datasets = catalog.config.datasets
    return [
        a
        for a in _maps_for("gradients", catalog)
        if getattr(datasets[a.dataset], "planted", None) is not None
    ]


def _beside_cams(catalog: Catalog) -> list[Artifact]:
    """The maps of `evaluation.region_pictures`."""
    chosen = _of_entries("region_pictures", catalog)
    for where, artifact in chosen:
        cam = catalog.cams.get(artifact.key)
        if cam is None:
            raise ConfigError(
                f"{where} has no CAM beside it; it needs pixel masks, a classifier, and "
                "evaluation.regions: true"
            )
        if cam.key == artifact.key:
            raise ConfigError(f"{where} is the CAM that maps stand beside; take other maps")
    return [artifact for _, artifact in chosen]


def _with_heads(catalog: Catalog) -> list[Artifact]:
    """The maps of `evaluation.heads`."""
    chosen = _made_for("heads", "bbam", catalog)
    for artifact in chosen:
        if not catalog.config.datasets[artifact.dataset].has_instances:
            raise ConfigError(
                f"evaluation.heads.maps: data set {artifact.dataset} has no true instances, in "
                "which to place what the heads look at"
            )
    return chosen


def _made_for(analysis: str, method: str, catalog: Catalog) -> list[Artifact]:
    """The maps that an analysis names, all of the method that it is of."""
    chosen = _of_entries(analysis, catalog)
    for where, artifact in chosen:
        if analysis not in artifact.block.analyses:
            raise ConfigError(f"{where} is of method {artifact.method}; take maps of {method}")
    return [artifact for _, artifact in chosen]


def _of_entries(analysis: str, catalog: Catalog) -> list[tuple[str, Artifact]]:
    """The artifacts of the entries that an analysis names, each once, with the entry's key."""
    wanted = getattr(catalog.config.evaluation, analysis)
    if wanted is None:
        return []
    return catalog.maps_of_entries(f"evaluation.{analysis}.maps", wanted.maps)
