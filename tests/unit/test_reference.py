"""The generated schema and reference page say what the models say."""

import json

import pytest

from tags2masks.config import reference


@pytest.mark.parametrize(
    ("name", "text"), [("config.schema.json", reference.schema), ("config.md", reference.page)]
)
def test_docs_are_up_to_date(name, text):
    path = reference.DOCS / name
    assert path.read_text(encoding="utf-8") == text(), f"docs/{name} is out of date: make docs"


def test_drift_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    assert reference.main(check=False) == 0
    assert reference.main(check=True) == 0
    (tmp_path / "config.md").write_text("old")
    assert reference.main(check=True) == 1
    assert "docs/config.md: out of date; run `make docs`" in capsys.readouterr().err


def test_every_field_has_its_default_on_the_page():
    page = reference.page()
    momentum = "| `optimizer.momentum` | number ≥ 0, < 1"
    assert f"{momentum} | `0.0001` | Momentum of sgd. |" in page  # vanilla's
    assert f"{momentum} | `0.9` | Momentum of sgd. |" in page  # deeplabv3plus's
    assert "| `test.crf` | block or null | `null` |" in page  # deeplabv3plus's
    assert "| `test.crf` | block or null | `{}` |" in page  # deeplabv2's
    assert "| `test.crf.bilateral.sxy` | number ≥ 0.5 | `67.0` |" in page
    assert "| `root` | text | required |" in page
    assert json.loads(reference.schema())["properties"]["seed"]["default"] == 0
