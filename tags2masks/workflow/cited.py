"""What experiments stand on: the papers of their methods, networks and data sets."""

from collections.abc import Iterable

from tags2masks.config.project import Config
from tags2masks.workflow.artifacts import Experiment, with_upstream


def cited(config: Config, experiments: Iterable[Experiment]) -> list[str]:
    """The keys of what experiments use, each once: data sets, methods, networks, analyses."""
    wanted = config.evaluation
    of_maps = [wanted.gradients, wanted.climbs, wanted.untagged]
    of_maps += [wanted.region_pictures, wanted.heads, wanted.proposals]
    analyses = [wanted.landscape, *of_maps]
    keys = dict.fromkeys(key for block in analyses if block for key in block.cited())
    for experiment in experiments:
        blocks = [config.datasets[experiment.dataset]]
        blocks += [artifact.block for artifact in with_upstream(a for _, a in experiment.products)]
        keys |= dict.fromkeys(key for block in blocks for key in block.cited())
    return list(keys)
