"""How the programs start and end."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from tags2masks.errors import UserError
from tags2masks.program import run

PROGRAMS = Path(__file__).resolve().parents[2] / "workflow_scripts"


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (UserError("a.csv: mend it"), 1, "error: a.csv: mend it\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_the_user_gets_one_line_and_no_traceback(capsys, raised, status, said):
    def main():
        raise raised

    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("name", [path.stem for path in sorted(PROGRAMS.glob("[!_]*.py"))])
def test_every_program_starts_and_says_what_it_takes(name, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        import_module(f"workflow_scripts.{name}").main()
    assert ended.value.code == 0 and "--" in capsys.readouterr().out
