"""No artifact of a shipped config gets another id unless that is meant.

After an intended change: `python -m tests.unit.test_golden_ids` writes the list anew; its diff
shows what will be made again.
"""

import json
from pathlib import Path

import pytest
import yaml

from tags2masks.config.papers import INDEX
from tags2masks.config.project import parse_config
from tags2masks.workflow.artifacts import all_artifacts, reference_cams
from tags2masks.workflow.building import build_experiments

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("golden_ids.json")
SHIPPED = [
    ROOT / "config.yaml",
    *sorted({*(ROOT / "papers").glob("*.yaml")} - {INDEX}),
    *sorted((ROOT / "docs/examples").glob("*.yaml")),
]


def ids_of(file: Path) -> list[str]:
    """`dataset/stage/id` of all that a config makes, sorted."""
    config = parse_config(yaml.safe_load(file.read_text(encoding="utf-8")))
    experiments = build_experiments(config)
    artifacts = list(all_artifacts(experiments).values())
    artifacts += reference_cams(config, experiments).values()
    return sorted({f"{a.dataset}/{a.stage}/{a.id}" for a in artifacts})


def all_ids() -> dict[str, list[str]]:
    return {file.relative_to(ROOT).as_posix(): ids_of(file) for file in SHIPPED}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_the_ids_of_a_shipped_config_are_the_golden_ones(file):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert ids_of(file) == golden[file.relative_to(ROOT).as_posix()]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(all_ids(), indent=1) + "\n", encoding="utf-8")
