"""A module that the server runs sees what a new Python shows it."""

import json
import os
import subprocess

import pytest

from tests.workflow.preloaded import alone, python

PROGRAM = """
import json, os, pathlib, sys
import beside
environment = {k: v for k, v in os.environ.items() if k not in IGNORED}
seen = dict(
    name=__name__, arguments=sys.argv[1:], folder=os.getcwd(), environment=environment,
    path=sys.path[:2], read=sys.stdin.read(), beside=beside.__file__, umask=os.umask(0),
    own=sorted(n for n in sys.modules if n.partition(".")[0] in ("tests", "tags2masks")),
)
print(json.dumps(seen))
print("to standard error", file=sys.stderr)
sys.stdout.flush()
"""
IGNORED = ["BASH_ENV", "PRELOADED_PYTHON", "_", "LC_CTYPE"]


def both(tmp_path, end: str) -> list[subprocess.CompletedProcess]:
    """The program run by the server and as usual."""
    (tmp_path / "program.py").write_text(PROGRAM.replace("IGNORED", repr(IGNORED)) + end)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/beside.py").write_text("")
    arguments = ["-m", "program", "--two words", "x"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "elsewhere"), "GIVEN": "value"}
    return [
        subprocess.run(
            [*python(env), *arguments], cwd=tmp_path, env=env, input="given", text=True,
            capture_output=True, check=False,
        )
        for env in (environment, alone(environment))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("end", "status"),
    [("", 0), ("sys.exit(3)", 3), ("sys.exit('one line')", 1), ("1 / 0", 1), ("os._exit(4)", 4)],
)
def test_a_program_sees_the_same(tmp_path, end, status):
    served, usual = both(tmp_path, end)
    assert served.returncode == usual.returncode == status
    assert json.loads(served.stdout) == json.loads(usual.stdout)
    assert json.loads(usual.stdout)["read"] == "given"
    assert served.stderr.splitlines()[0] == "to standard error"
    assert served.stderr.splitlines()[-1] == usual.stderr.splitlines()[-1]


def test_a_program_that_is_killed_fails(tmp_path):
    served, usual = both(tmp_path, "os.kill(os.getpid(), 9)")
    assert (served.returncode, usual.returncode) == (137, -9)
