"""The index of the papers' tables and figures: complete, true of the configs, and its page."""

import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import yaml
from snakemake.cli import parse_config as parse_config_option

from tags2masks.config import papers
from tags2masks.config.base import ConfigError
from tags2masks.config.experiments import expand_braces
from tags2masks.config.papers import (
    Item,
    command_of,
    page,
    published_counts,
    read_index,
    seeds_option,
)
from tags2masks.config.project import parse_config
from tags2masks.config.reading import read_config
from tags2masks.config.report import Figure
from tags2masks.report.published import parts_of, read_published, words_of
from tags2masks.report.tables import METRIC_NAMES
from tags2masks.stages import STAGES
from tags2masks.workflow.building import build_experiments

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ROOT.parent / "shared/papers"  # the papers' texts, which are not part of the repository
INDEX = read_index()
ITEMS = [(name, item) for name, document in INDEX.items() for item in document.items]
MADE = [item for _, item in ITEMS if item.config]

THESIS_FIGURES = {2: 2, 3: 15, 4: 8, 5: 8, 6: 1}
THESIS_TABLES = {2: 1, 3: 9, 4: 7, 5: 6}
ALL = {
    "lpcam": [*(f"Table {n}" for n in range(1, 5)), *(f"Figure {n}" for n in range(1, 6))],
    "pnoc": [*(f"Table {n}" for n in range(1, 9)), *(f"Figure {n}" for n in range(1, 10))],
    "sampling": [*(f"Table {n}" for n in range(1, 8)), *(f"Figure {n}" for n in range(1, 9))],
    "saliency": [*(f"Table {n}" for n in range(1, 5)), *(f"Figure {n}" for n in range(1, 14))],
    "label_efficient": [
        f"{kind} {chapter}.{n}"
        for kind, counts in (("Table", THESIS_TABLES), ("Figure", THESIS_FIGURES))
        for chapter, count in counts.items()
        for n in range(1, count + 1)
    ],
}


def whole(item):
    """Its number without the part: Figure 5 for Figure 5 (a–c)."""
    return item.item.partition(" (")[0]


@cache
def experiments(config):
    """The chains of a config as written, with the stages that they go through; and the config."""
    parsed = parse_config(read_config(ROOT / config))
    chains = {}
    for experiment in build_experiments(parsed):
        written = experiment.setting.chain if experiment.setting else experiment.path
        chains.setdefault(written, set()).update(experiment.artifacts)
    return chains, parsed


@pytest.mark.parametrize("document", ALL)
def test_every_item_is_there_once_or_in_parts(document):
    items = [item for name, item in ITEMS if name == document]
    assert len({item.item for item in items}) == len(items)
    assert list(dict.fromkeys(map(whole, items))) == ALL[document]


@pytest.mark.skipif(not TEXTS.is_dir(), reason="the papers' texts are not there: ../shared/papers")
@pytest.mark.parametrize("document", ALL)
def test_every_caption_of_the_text_is_an_item(document):
    text = (TEXTS / f"{document}.txt").read_text(encoding="utf-8")
    captions = re.findall(r"^\W*((?:Table|Figure) \d+(?:\.\d+)?)[.:] ", text, re.MULTILINE)
    assert len(captions) >= 14 - 6 * (document == "lpcam")
    assert set(captions) <= set(ALL[document])


def test_documents_are_those_of_the_published_figures():
    assert set(INDEX) == {path.stem for path in (ROOT / "papers/published").glob("*.csv")}


@pytest.mark.parametrize("document", ALL)
def test_published_figures_are_of_items(document):
    mine = {name for item in INDEX[document].items for name in (item.item, whole(item))}
    others = set(published_counts(document)) - mine
    assert others <= {"Section 3.4", "Section 4.1", "Section 5.5", "README of the code"}
    # A table without figures is none that could be compared: the thesis's 3.5, absent in our copy.
    tables = {item.item for item in INDEX[document].items if item.item.startswith("Table")}
    without = tables - set(published_counts(document))
    assert without == ({"Table 3.5"} if document == "label_efficient" else set())


@pytest.mark.parametrize("config", sorted({made.config for item in MADE for made in item.made}))
def test_configs_have_a_command_and_the_items_chains(config):
    assert command_of(config).startswith("snakemake ")
    chains, _ = experiments(config)
    for item in MADE:
        texts = [text for made in item.made if made.config == config for text in made.chains]
        for chain in (chain for text in texts for chain in expand_braces(text)):
            there = any(f"{known}/".startswith(f"{chain}/") for known in chains)
            assert there, (item.item, chain)


def test_a_config_is_named_once_for_an_item_and_its_figures_are_where_they_are_said_to_be():
    for item in MADE:
        assert len({made.config for made in item.made}) == len(item.made)
        for made in item.more:
            chains, config = experiments(made.config)
            stages = set().union(*chains.values())
            for rows in item.rows:
                if rows.stage:
                    assert rows.stage in stages, (item.item, made.config)
                    of_train = STAGES[rows.stage].split == "train"
                    assert not of_train or rows.split in config.evaluation.splits


@pytest.mark.parametrize("item", MADE, ids=lambda item: f"{Path(item.config).stem}-{item.item}")
def test_rows_are_what_the_config_measures(item):
    chains, config = experiments(item.config)
    mine = [chain for text in item.chains for chain in expand_braces(text)]
    stages = set().union(
        *(s for known, s in chains.items() if any(f"{known}/".startswith(f"{c}/") for c in mine))
    )
    swept = {f"{part.entry}.{part.field}" for sweep in config.sweep for part in sweep.parameters}
    for rows in item.rows:
        assert set(rows.metrics) <= set(METRIC_NAMES)
        if rows.stage:
            assert rows.stage in stages and STAGES[rows.stage].figure and rows.metrics
            own = STAGES[rows.stage].split
            measured = set(config.evaluation.splits) if own == "train" else {"val"}
            assert rows.split in measured
        assert (rows.file == "sweep.csv") == (rows.parameter is not None)
        assert rows.parameter is None or rows.parameter in swept
        if rows.parameter and "Sensitivity to" in item.views:
            assert set(rows.metrics) <= set(config.report.sweep_figures)
        assert rows.stage == "maps" or rows.file not in ("curve.csv", "epochs.csv", "steps.csv")
        if rows.file == "epochs.csv":
            assert config.evaluation.epoch_images
        if rows.file in ("steps.csv", "amplification.csv"):
            entries = {chain.split("/")[2] for chain in mine}
            assert all(config.maps[entry].keep_steps for entry in entries)


SMALL = [small for document in INDEX.values() for small in document.small]
# Whole ways to a model, of no single item.
TOGETHER = {"animals", "supervision", "headline-animals"}


def test_every_config_that_is_sized_for_cpus_is_named_once_a_document_with_its_results():
    sized = {
        f"papers/{path.name}"
        for path in (ROOT / "papers").glob("*.yaml")
        if path.stem not in TOGETHER and read_config(path)["device"] == "cpu"
    }
    assert {small.config for small in SMALL} == sized
    for document in INDEX.values():
        assert len({small.config for small in document.small}) == len(document.small)
        for small in document.small:
            assert "--cores" in command_of(small.config)
            assert len(set(small.items)) == len(small.items)


def test_what_small_configs_measured_is_a_part_of_the_results():
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    pieces = (piece.partition("\n") for piece in re.split(r"^##+ ", text, flags=re.MULTILINE))
    parts = {heading: part for heading, _, part in pieces}
    for small in SMALL:
        assert set(small.results) <= set(parts)
        told = [parts[heading] for heading in small.results]
        assert any(f"`{small.config}`" in part for part in told), small.config


def test_a_small_config_for_an_item_that_is_not_there_is_refused(tmp_path):
    index = tmp_path / "index.yaml"
    index.write_text(
        "some:\n  title: t\n  items: [{item: Table 1, shows: s, can: nothing}]\n"
        "  small: [{config: papers/some.yaml, items: [Table 2], results: [Some]}]\n"
    )
    with pytest.raises(ConfigError, match=r"some\.yaml: no such items: Table 2"):
        read_index(index)


def test_items_of_repeats_have_them_by_the_option_that_the_page_adds():
    repeated = [item for item in MADE if item.seeds]
    assert {item.item for item in repeated} >= {f"Figure {number}" for number in range(5, 9)}
    [(key, value)] = parse_config_option([seeds_option(3)]).items()  # as Snakemake reads it
    assert (key, list(value)) == ("seeds", ["0", "1", "2"])
    for item in repeated:
        raw = read_config(ROOT / item.config)
        assert "seeds" not in raw  # else the option changes nothing
        config = parse_config(raw | parse_config_option([seeds_option(item.seeds)]))
        assert config.seeds == tuple(range(item.seeds))
        assert seeds_option(item.seeds) in page()


def test_views_are_parts_of_the_report():
    report = ROOT / "tags2masks/report"
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (report / "page.html.jinja", *report.glob("*.py"))
    )
    views = {view for item in MADE for view in item.views}
    assert len(views) > 8
    assert {view for view in views if view not in source} == set()


@cache
def words(config, document):
    """The chains of a config in the words of a document's figures, with their stages' depths."""
    parsed = parse_config(read_config(ROOT / config))
    named = {word for method in figures_of(document)["method"] for word in method.split("/")}
    outline = [
        {
            "experiment": experiment.name,
            "steps": [[depth, made.stage, made.id] for depth, made in experiment.products],
        }
        for experiment in build_experiments(parsed)
    ]
    return [(words_of(experiment, named), experiment["steps"]) for experiment in outline]


@cache
def figures_of(document):
    return read_published(ROOT / f"papers/published/{document}.csv")


@pytest.mark.parametrize("document", ALL)
def test_published_figures_are_in_the_words_of_the_configs_chains(document):
    for item in INDEX[document].items:
        if not item.config or "Published figures" not in item.views:
            continue
        figures = figures_of(document)
        # A method that is not here has its paper's name, and test no public masks.
        mine = figures[(figures["table"] == item.item) & (figures["class"] == "")]
        mine = mine[~mine["metric"].str.startswith(("pearson", "clustering"))]
        found = {}
        for made in item.made:
            named = experiments(made.config)[1].published
            named = (named,) if isinstance(named, str) else named
            assert document in {Path(path).stem for path in named}, (item.item, made.config)
            for row in mine.to_dict("records"):
                stage, *_ = parts_of(row["metric"])
                for chain, steps in words(made.config, document):
                    depth = max((depth for depth, at, _ in steps if at == stage), default=None)
                    if depth and chain[:depth] == row["method"].split("/"):
                        found.setdefault(made.config, set()).add(tuple(row.values()))
        assert found.keys() == {made.config for made in item.made}, item.item
        if item.can == "all":
            assert len(set().union(*found.values())) == len(mine), item.item


def test_items_with_published_figures_show_them():
    for item in MADE:
        if "Published figures" in item.views or "Leaderboard" in item.views:
            assert item.rows or item.lacks
        if "Published figures" in item.views:
            _, config = experiments(item.config)
            assert config.published


def test_a_sweep_may_ask_for_all_figures_that_there_are():
    assert get_args(Figure) == tuple(METRIC_NAMES)


def test_the_page_is_up_to_date():
    assert papers.PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_page_by_hand():
    lines = page().splitlines()
    [row] = [line for line in lines if line.startswith("| Figure 5.7 (b) |")]
    assert row == (
        "| Figure 5.7 (b) | masks by the stride of the perturbation | yes | "
        "[bbam.yaml](../papers/bbam.yaml): `voc/fasterrcnn/{swept,bbam}/boxmask` | "
        "`sweep.csv` (instances, `abos` `abom` `abol`, val, by `maps.swept.cell`); `metrics.csv` "
        "(instances, `abos` `abom` `abol`, val); *Sensitivity to*; *Instances* | – | – |"
    )
    assert "Published figures elsewhere: Section 4.1 (2)." in lines
    assert sum(line.startswith(("| Table", "| Figure")) for line in lines) == len(ITEMS)
    counted = [int(n) for n in re.findall(r"\| (\d+) \|$", page(), re.MULTILINE)]
    elsewhere = sum(map(int, re.findall(r" \((\d+)\)[.,]", "".join(
        line for line in lines if line.startswith("Published figures elsewhere"))
    )))  # fmt: skip
    assert sum(counted) + elsewhere == sum(sum(published_counts(d).values()) for d in ALL)


GOOD = {"item": "Table 1", "shows": "x", "can": "all", "config": "c.yaml", "chains": ["a/b"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"can": "part"}, "Table 1: `can: part` without what it `lacks`"),
        ({"lacks": "y"}, "Table 1: `can: all`, but something it `lacks`"),
        ({"config": None, "chains": []}, "Table 1: `can: all` without a config"),
        ({"chains": []}, "Table 1: config and chains go together"),
        (
            {"can": "none", "lacks": "y", "config": None, "chains": [], "views": ["Examples"]},
            "Table 1: figures, but no config that makes them",
        ),
        ({"can": "some"}, "doc.items.0.can: Input should be"),
        ({"more": [{"config": "d.yaml", "chains": []}]}, "doc.items.0.more.0.chains: Tuple"),
        ({"link": "z"}, "doc.items.0.link: Extra inputs"),
    ],
)
def test_items_that_cannot_be(tmp_path, change, message):
    assert Item.model_validate(GOOD)
    path = tmp_path / "index.yaml"
    path.write_text(yaml.safe_dump({"doc": {"title": "t", "items": [GOOD | change]}}))
    with pytest.raises(ConfigError) as error:
        read_index(path)
    assert str(error.value).startswith("index.yaml: doc.items.0") and message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_config_without_a_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    (tmp_path / "a.yaml").write_text("# Run it.\nseed: 0\n")
    with pytest.raises(ConfigError, match=r"^a\.yaml: no single command to run it"):
        command_of("a.yaml")
    (tmp_path / "a.yaml").write_text(
        "# Run it with:\n#   snakemake --cores 2 --configfile a.yaml\n"
    )
    assert command_of("a.yaml") == "snakemake --cores 2 --configfile a.yaml"
