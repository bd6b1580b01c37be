"""How the programs start and end."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

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


# In a Python of its own: torch watches the loading processes of a whole program.
LOADING = """
import os, signal
from torch.utils.data import DataLoader, Dataset
from tags2masks.errors import raise_together
from tags2masks.program import run

class Failing(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        if number == 2:
            {end}
        return number

run(lambda: list(DataLoader(Failing(), batch_size=1, num_workers=2)))
"""

MEMORY = (
    "error: a process that loads images was killed, most likely for lack of memory; lower "
    "--workers (workers in the config) or batch_size, or give the job more memory\n"
)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", MEMORY),
        ("os._exit(1)", MEMORY),
        (
            'raise_together(["a.png: damaged image; replace it", "b.png: empty file; restore it"])',
            "error: a.png: damaged image; replace it\nb.png: empty file; restore it\n",
        ),
    ],
)
def test_the_end_of_a_loading_process_is_one_line_too(end, said):
    done = subprocess.run(
        [sys.executable, "-c", LOADING.format(end=end)], text=True, capture_output=True, check=False
    )
    # Beside it the other process may complain that nobody takes its images any more.
    assert done.returncode == 1 and said in done.stderr
    assert "DataLoader worker" not in done.stderr and "tags2masks/" not in done.stderr


@pytest.mark.parametrize("error", [ConnectionResetError, EOFError])
def test_a_loading_process_that_ends_while_it_hands_over_an_image(capsys, monkeypatch, error):
    def fetch(*_):
        raise error("gone")

    loading = "torch.utils.data.dataloader._SingleProcessDataLoaderIter._next_data"
    monkeypatch.setattr(loading, fetch)
    with pytest.raises(SystemExit) as stopped:
        run(lambda: list(DataLoader(range(4))))
    assert stopped.value.code == 1
    assert capsys.readouterr().err == MEMORY

    def main():
        raise error("gone")

    with pytest.raises(error, match="gone"):  # of another connection
        run(main)


def test_other_errors_keep_their_traceback():
    def main():
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run(main)
