"""Source digests: what the code does counts, how it is written does not."""

import pytest

from tags2masks.workflow import sources


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project whose program reaches a helper two imports deep."""
    files = {
        "workflow_scripts/__init__.py": "",
        "workflow_scripts/go.py": "from tags2masks.near import f\nf()\n",
        "tags2masks/__init__.py": "",
        "tags2masks/near.py": "def f():\n    from tags2masks import deep\n    return deep.g()\n",
        "tags2masks/deep.py": '"""Doc."""\n\ndef g():\n    """Doc."""\n    return 1\n',
        "tags2masks/maps/__init__.py": "",
        "tags2masks/maps/cam.py": "X = 1\n",
        "tags2masks/maps/other.py": "X = 2\n",
        "tags2masks/config/__init__.py": "",
        "tags2masks/config/maps.py": "Y = 1\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    return tmp_path


def digest():
    return sources.source_digest("workflow_scripts.go", "tags2masks.maps.cam")


@pytest.mark.parametrize(
    ("file", "text", "counts"),
    [
        ("tags2masks/deep.py", "def g():\n    return 2\n", True),
        ("tags2masks/deep.py", "# why\n\n\ndef g():\n    return 1  # so\n", False),
        ("tags2masks/deep.py", '"""Other."""\ndef g():\n    """Other."""\n    return 1', False),
        ("tags2masks/maps/cam.py", "X = 3\n", True),
        ("tags2masks/maps/other.py", "X = 3\n", False),
        ("tags2masks/config/maps.py", "Y = 2\n", False),
        ("tags2masks/maps/__init__.py", "Z = 1\n", True),
        ("workflow_scripts/go.py", "from tags2masks.near import f\nf(), f()\n", True),
    ],
)
def test_what_counts(project, file, text, counts):
    before = digest()
    (project / file).write_text(text)
    assert (digest() != before) == counts


def test_touching_changes_nothing_and_an_unknown_module_is_an_error(project):
    before = digest()
    for path in project.rglob("*.py"):
        path.touch()
    assert digest() == before
    with pytest.raises(ModuleNotFoundError, match=r"tags2masks\.maps\.absent"):
        sources.source_digest("tags2masks.maps.absent")


def test_the_layout_of_a_module_does_not_count_but_its_strings_do(project):
    (project / "tags2masks/deep.py").write_text("def g():\n    return 'a'\n")
    before = digest()
    (project / "tags2masks/deep.py").write_text("def g():\n\n    return (\n        'a'\n    )\n")
    assert digest() == before
    (project / "tags2masks/deep.py").write_text("def g():\n    return 'b'\n")
    assert digest() != before


def kept(project):
    """The files with what was read of the modules."""
    return sorted(project.rglob("__pycache__/*.digest.json"))


def test_what_was_parsed_is_kept_beside_the_bytecode(project, monkeypatch):
    before = digest()
    assert len(kept(project)) == 7  # all but the config's two and `maps.other`
    with monkeypatch.context() as patch:
        patch.setattr(sources, "_parsed", None)
        sources._read.cache_clear()
        assert digest() == before
    (project / "tags2masks/deep.py").write_text("def g():\n    return 3\n")
    sources._read.cache_clear()
    assert digest() != before


def test_what_cannot_be_read_or_is_of_other_code_is_parsed_again(project, monkeypatch):
    before, parsed, calls = digest(), sources._parsed, []
    monkeypatch.setattr(sources, "_parsed", lambda path: calls.append(path) or parsed(path))
    kept(project)[0].write_text('{"of": [')
    sources._read.cache_clear()
    assert digest() == before
    assert len(calls) == 1
    other = project / "sources.py"
    other.write_text("")
    monkeypatch.setattr(sources, "__file__", str(other))
    sources._read.cache_clear()
    assert digest() == before
    assert len(calls) == 1 + 7


def test_nothing_is_kept_where_no_bytecode_is_to_be_written(project, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    digest()
    assert not kept(project)
