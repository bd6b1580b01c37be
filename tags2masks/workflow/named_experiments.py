"""The experiments that charts of the report name: pairs, and lines against a number or a word."""

from collections.abc import Sequence

from tags2masks.config.base import ConfigError
from tags2masks.config.mistakes import choices
from tags2masks.config.project import Config
from tags2masks.workflow.artifacts import Experiment


def comparisons(config: Config, experiments: Sequence[Experiment]) -> list[dict]:
    """What the report compares: the two names, an experiment (without a seed) that begins with
    each, and the stages that both names go through.

    Raises ConfigError for a name without an experiment, and for two data sets.
    """
    wanted = []
    for place, pair in enumerate(config.report.compare):
        where = f"report.compare.{place}"
        names = [_plain(pair.first), _plain(pair.second)]
        if len({name.partition("/")[0] for name in names}) > 1:
            raise ConfigError(f"{where}: name two chains of one data set")
        found = [_beginning_with(experiments, name, where) for name in names]
        wanted.append(
            {
                "names": names,
                "experiments": [experiment.path for experiment in found],
                "stages": _common_stages(zip(names, found, strict=True)),
                "order": pair.order,
            }
        )
    return wanted


def lines_against(config: Config, experiments: Sequence[Experiment]) -> list[dict]:
    """The charts of `report.against`: axis, the stages that all names go through, and `lines`.

    A line is its name and a list of points: the number or word as text, and the path of the first
    experiment that begins with the name.
    Raises ConfigError for a name without an experiment, and for a point that is given twice.
    """
    charts = []
    for place, chart in enumerate(config.report.against):
        lines, named = [], []
        for name, points in chart.lines.items():
            where = f"report.against.{place}.lines.{name}"
            if len({str(setting) for setting in points}) < len(points):
                raise ConfigError(f"{where}: a number is there twice, once as text; keep one")
            found = [
                (_plain(text), _beginning_with(experiments, _plain(text), f"{where}.{setting}"))
                for setting, text in points.items()
            ]
            named += found
            paths = [experiment.path for _, experiment in found]
            lines.append([name, [list(p) for p in zip(map(str, points), paths, strict=True)]])
        charts.append({"axis": chart.axis, "stages": _common_stages(named), "lines": lines})
    return charts


def _plain(name: str) -> str:
    return name.replace(" ", "")


def _common_stages(named) -> list[str]:
    """The stages that all names go through, of pairs of a name and its experiment."""
    stages = [
        {made.stage for depth, made in experiment.products if depth <= name.count("/")}
        for name, experiment in named
    ]
    return sorted(set.intersection(*stages))


def _beginning_with(experiments: Sequence[Experiment], name: str, where: str) -> Experiment:
    """The first experiment that is or begins with this chain."""
    for experiment in experiments:
        if f"{experiment.path}/".startswith(f"{name}/"):
            return experiment
    known = list(dict.fromkeys(experiment.path for experiment in experiments))
    raise ConfigError(f"{where}: no experiment is or begins with '{name}'; {choices(name, known)}")
