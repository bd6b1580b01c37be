"""The tables of analyses that a config asks for, and the artifacts that these are of."""

from collections.abc import Iterable

from tags2masks.config.base import ConfigError
from tags2masks.config.project import choices
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.catalog import Catalog

FILES = {  # by the analysis; what is no table is for pictures
    "gradients": ("gradients.csv", "gradients.zarr.zip"),
    "landscape": ("landscape.csv",),
    "climbs": ("climbs.csv",),
    "region_pictures": ("regions.csv", "regions.zarr.zip"),
}


def analysis_files(catalog: Catalog) -> list[str]:
    """The files of all analyses.

    Raises ConfigError for an analysis that no artifact of an experiment is for.
    """
    found = {
        "gradients": _planted(catalog),
        "landscape": catalog.of_stage("classifier"),
        "climbs": _maps_for("climbs", catalog),
        "region_pictures": _beside_cams(catalog),
    }
    missing = {
        "gradients": "maps of rib on a mnist data set with `planted`",
        "landscape": "a classifier",
        "climbs": "maps of advcam",
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


def _planted(catalog: Catalog) -> list[Artifact]:
    datasets = catalog.config.datasets
    return [
        a
        for a in _maps_for("gradients", catalog)
        if getattr(datasets[a.dataset], "planted", None) is not None
    ]


def _beside_cams(catalog: Catalog) -> list[Artifact]:
    """The maps of `evaluation.region_pictures`."""
    wanted = catalog.config.evaluation.region_pictures
    if wanted is None:
        return []
    where, found = "evaluation.region_pictures.maps", {}
    for experiment in catalog.experiments:
        for depth, artifact in experiment.products:
            if artifact.stage == "maps":
                found.setdefault(experiment.chain[depth].name, {})[artifact.key] = artifact
    for name in wanted.maps:
        if name not in found:
            raise ConfigError(
                f"{where}: no experiment goes through maps.{name}; {choices(name, found)}"
            )
        _check_cams(f"{where}: {name}", found[name].values(), catalog)
    chosen = {key: artifact for name in wanted.maps for key, artifact in found[name].items()}
    return list(chosen.values())


def _check_cams(where: str, artifacts: Iterable[Artifact], catalog: Catalog) -> None:
    for artifact in artifacts:
        cam = catalog.cams.get(artifact.key)
        if cam is None:
            raise ConfigError(
                f"{where} has no CAM beside it; it needs pixel masks, a classifier, and "
                "evaluation.regions: true"
            )
        if cam.key == artifact.key:
            raise ConfigError(f"{where} is the CAM that maps stand beside; take other maps")
