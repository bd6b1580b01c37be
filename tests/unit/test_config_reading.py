"""Config files as people write them: one line that names the file, and where it can the line."""

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.reading import read_config


def refused(path):
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    return str(error.value).removeprefix(str(path))


def bomb(levels):
    """Nine of each level, each nine of the level below."""
    lines = ['a0: &a0 ["x"]']
    for n in range(1, levels):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: 1\nmaps: {}\nseed: 2\n", ", lines 1 and 3: 'seed' is there twice; keep one"),
        ("maps:\n  cam: {}\n\nmaps:\n", ", lines 1 and 4: 'maps' is there twice; keep one"),
        ("a:\n  - b: {c: 1,\n      c: 2}\n", ", lines 2 and 3: 'c' is there twice; keep one"),
        (bomb(9), ", line "),
        ("a: &a [*a]\n", ", line 1: holds an alias of itself"),
        ("- a\n", ": holds no keys"),
        ("text\n", ": holds no keys"),
        ("a: [1\n", ": not readable (while parsing a flow sequence"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            ": not readable (could not determine a constr",
        ),
        ("[" * 5000, ": nested too deep"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, line):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    assert refused(path).startswith(line)


def test_files_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "mine.yaml"
    assert refused(path).startswith(": does not exist")
    path.symlink_to("gone.yaml")
    assert refused(path).startswith(": a link to gone.yaml, which does not exist")
    path.unlink()
    path.write_text("seed: 1\n", encoding="utf-16")
    assert refused(path).startswith(": not UTF-8")
    path.unlink()
    path.mkdir()
    assert refused(path).startswith(": cannot be read (a folder, where a file should be)")


def test_aliases_and_equal_keys_of_different_blocks_are_fine(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &x {c: 1}\nb: {<<: *x, d: *x}\n1: 2\n'1': 3\n", encoding="utf-8")
    assert read_config(path) == {"a": {"c": 1}, "b": {"c": 1, "d": {"c": 1}}, 1: 2, "1": 3}
    path.write_text("# nothing\n", encoding="utf-8")
    assert read_config(path) == {}
