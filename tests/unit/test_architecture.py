"""The architecture page says what the imports are, and these run one way."""

import pytest

from tags2masks.workflow import architecture, sources


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A small project of three layers; gives what writes a file of it."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    monkeypatch.setattr(sources, "ROOT", tmp_path)
    write("workflow_scripts/go.py", "from tags2masks.report import page\n")
    write("tags2masks/__init__.py", "")
    write("tags2masks/report/__init__.py", "")
    write("tags2masks/report/page.py", "import tags2masks.store\nfrom tags2masks.data import f\n")
    write("tags2masks/data/__init__.py", "from tags2masks import store\n")
    write("tags2masks/store.py", "from importlib import import_module\nX = 'tags2masks.report'\n")
    return write


def test_the_page_is_up_to_date():
    page = architecture.PAGE.read_text(encoding="utf-8")
    assert page == architecture.page(), "docs/architecture.md is out of date: make docs"


def test_imports_of_this_project_run_one_way():
    imports = architecture.all_imports()
    architecture.check_imports(imports)
    layers = architecture.layers_of(architecture.arrows_of(imports))
    assert layers["errors"] == 0 < layers["config"] < layers["nets"] < layers["maps"]
    for one in imports:
        assert (
            layers[architecture.room_of(one.importer)] > layers[architecture.room_of(one.imported)]
        )
    assert {"tags2masks.errors", "tags2masks.store"} <= {one.imported for one in imports}


def test_layers_of_a_small_project(house):
    imports = architecture.all_imports()
    architecture.check_imports(imports)
    arrows = architecture.arrows_of(imports)
    assert arrows == {
        "workflow_scripts": {"report"},
        "report": {"store", "data"},
        "data": {"store"},
        "store": set(),
    }
    assert architecture.layers_of(arrows) == {
        "store": 0, "data": 1, "report": 2, "workflow_scripts": 3
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("from tags2masks.report.page import f\n", "tags2masks.report.page"),
        ("from tags2masks import report\n", "tags2masks.report"),
        ("def f():\n    import tags2masks.report.page\n", "tags2masks.report.page"),
    ],
)
def test_two_rooms_that_import_each_other(house, text, imported):
    house("tags2masks/store.py", text)
    line = text[: text.index("import")].count("\n") + 1
    with pytest.raises(architecture.ImportsRunUp) as error:
        architecture.check_imports(architecture.all_imports())
    told = str(error.value).splitlines()
    assert f"tags2masks/store.py:{line}: tags2masks.store imports {imported}" in told
    assert "tags2masks/report/page.py:1: tags2masks.report.page imports tags2masks.store" in told
    assert told[0].startswith("imports run in a circle, ")


def test_an_import_that_runs_up_several_layers(house):
    house("tags2masks/errors.py", "def f():\n    from tags2masks.report import page\n")
    house("tags2masks/store.py", "from tags2masks.errors import E\n")
    house("tags2masks/report/page.py", "from tags2masks.data import f\n")
    with pytest.raises(architecture.ImportsRunUp) as error:
        architecture.check_imports(architecture.all_imports())
    told = str(error.value)
    assert "tags2masks/errors.py:2: tags2masks.errors imports tags2masks.report.page" in told
    assert "tags2masks/data/__init__.py:1: tags2masks.data imports tags2masks.store" in told


def test_the_library_imports_no_program(house):
    house("tags2masks/store.py", "X = 1\n\nimport workflow_scripts.go\n")
    told = r"tags2masks/store\.py:3: tags2masks\.store imports workflow_scripts\.go"
    with pytest.raises(architecture.ImportsRunUp, match=told):
        architecture.check_imports(architecture.all_imports())


def test_drift_and_circles_end_the_check(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(architecture, "PAGE", tmp_path / "architecture.md")
    assert architecture.main(check=True) == 1
    assert architecture.main(check=False) == 0
    assert architecture.main(check=True) == 0
    assert "docs/architecture.md: out of date; run `make docs`" in capsys.readouterr().err
    up = architecture.Import("a.py", 1, "tags2masks.errors", "tags2masks.report.page")
    imports = [*architecture.all_imports(), up]
    monkeypatch.setattr(architecture, "all_imports", lambda: imports)
    assert architecture.main(check=True) == 1
    assert str(up) in capsys.readouterr().err
