"""Runs of tests without the start of Python: a server that has imported what programs import.

`python -m MODULE …` becomes a call to the server. It forks, and the fork runs the module with the
caller's arguments, environment, folder and outputs, as a new Python would. Of this project nothing
is imported before: every copy of the workflow runs its own sources. What is saved is the import of
PACKAGES: one second of a dry run, up to five of a job.

Jobs are shells that call `python`; Bash reads the file that BASH_ENV names, and there finds a
function of this name. Tests that stop jobs by signals, or that start Python in a way of their own,
take BASH_ENV out of the environment (`alone`), and everything is started as usual.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

PACKAGES = (
    "snakemake.cli",
    "snakemake.report.html_reporter",  # found among Snakemake's plugins in every run
    "smart_open",
    "yte",
    "torch",
    "torchvision.transforms.v2",
    "timm",
    "lightning_fabric",
    "segmentation_models_pytorch",
    "pandas",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.metrics",
    "skimage.color",
    "pycocotools.mask",
    "numcodecs",
    "dask.base",
    "matplotlib.pyplot",
    "jinja2",
)
CALL = Path(__file__).with_name("preloaded_call.py")
ADDRESS = "PRELOADED_PYTHON"
FUNCTION = """\
python() {{
    if [ "$1" = -m ]; then {call} "$@"; else command python "$@"; fi
}}
"""


@contextlib.contextmanager
def serving() -> Iterator[dict[str, str]]:
    """A server at work; what the environment must hold so that it is called."""
    with tempfile.TemporaryDirectory(prefix="preloaded-") as folder:
        address, shell = Path(folder) / "socket", Path(folder) / "bash_env"
        # Bytecode is written even where the environment forbids it, for other checkouts: else every
        # job of a run would compile the project's sources anew.
        own = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        server = subprocess.Popen([sys.executable, __file__, str(address)], env=own)
        try:
            while not address.exists():
                assert server.poll() is None, "the server did not start"
                time.sleep(0.05)
            shell.write_text(FUNCTION.format(call=shlex.join(_caller(str(address)))))
            yield {"BASH_ENV": str(shell), ADDRESS: str(address)}
        finally:
            server.kill()
            server.wait()


def python(environment: Mapping[str, str]) -> list[str]:
    """How the Python of the tests is called: by the server, where the environment names one."""
    return _caller(environment[ADDRESS]) if ADDRESS in environment else [sys.executable]


def alone(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the server."""
    return {name: value for name, value in environment.items() if name not in ("BASH_ENV", ADDRESS)}


def _caller(address: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(CALL), address]


def serve(address: str) -> dict:
    """Wait for calls. Returns in each fork that is to run a program: what it was called for.

    One fork per call: with all that is imported, it takes longer than many a program's own work.
    """
    running: dict[int, tuple[int, socket.socket]] = {}  # handle of a process -> its id, its caller
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen(16)
        Path(f"{address}.new").rename(address)
        while True:
            ready, _, _ = select.select([listening, *running], [], [])
            for ended in set(ready) & running.keys():
                program, caller = running.pop(ended)
                os.close(ended)
                status = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
                with caller, contextlib.suppress(BrokenPipeError):  # a killed caller
                    caller.sendall(str(status if status >= 0 else 128 - status).encode())
            if listening in ready:
                caller, _ = listening.accept()
                _, handles, _, _ = socket.recv_fds(caller, 1, 3)
                with caller.makefile() as lines:
                    line = lines.readline()
                program = os.fork()
                if not program:
                    break
                running[os.pidfd_open(program)] = program, caller
                for handle in handles:
                    os.close(handle)
    caller.close()
    for other, (_, connection) in running.items():
        os.close(other)
        connection.close()
    for own, given in enumerate(handles):
        os.dup2(given, own)
        os.close(given)
    return json.loads(line)


def become(about: dict, paths: list[str]) -> None:
    """Run the program as `python -m` would; paths: where packages are found."""
    module, *arguments = about["arguments"][1:]
    with contextlib.suppress(PermissionError):  # a caller in another session
        os.setpgid(0, about["group"])
    os.environ.clear()
    os.environ.update(about["environment"])
    os.umask(about["umask"])
    os.chdir(about["folder"])
    own = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [about["folder"], *own, *paths]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Be the server; in its forks, the program."""
    for package in PACKAGES:
        import_module(package)
    # A rule that is code runs in another Snakemake.
    import_module("snakemake.executors.local").Executor.get_python_executable = lambda _: "python"
    for at_exit in weakref.finalize._registry:
        at_exit.atexit = False  # torch takes its operators out one by one
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [path for path in sys.path[1:] if path not in given]  # without this file's folder
    gc.collect()
    gc.freeze()  # or the first collection of every fork writes to all that was imported
    about = serve(sys.argv[1])
    try:
        become(about, paths)
        status = 0
    except SystemExit as error:
        status = 1 if isinstance(error.code, str) else error.code or 0
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # taking all the imported apart would take longer than most programs


if __name__ == "__main__":
    main()
