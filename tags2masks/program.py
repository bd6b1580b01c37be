"""Common arguments and error handling of the programs in workflow_scripts/."""

import argparse
import json
import re
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tags2masks.errors import UserError

# Start of torch's message for a killed loading process.
KILLED = re.compile(r"DataLoader worker \(pid(\(s\))? [\d, ]+\)")


def run(main: Callable[[], None]) -> None:
    """Run a program; a UserError, or a killed loading process, exits with one line and status 1.

    Ctrl-C exits with one line and status 130, as shells expect.
    """
    try:
        main()
    except UserError as error:
        sys.exit(_print_error(_own_words(error)))
    except (RuntimeError, ConnectionError, EOFError) as error:
        # Where torch would raise when the next of these processes ends.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if not (KILLED.match(str(error)) or _is_cut_off(error)):
            raise
        sys.exit(
            _print_error(
                "a process that loads images was killed, most likely for lack of memory; lower "
                "--workers (workers in the config) or batch_size, or give the job more memory"
            )
        )
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _is_cut_off(error: Exception) -> bool:
    """Whether a process that loads images was gone while an image was fetched from it."""
    frames = traceback.extract_tb(error.__traceback__)
    fetching = any(Path(frame.filename).parts[-2:] == ("data", "dataloader.py") for frame in frames)
    return fetching and isinstance(error, ConnectionError | EOFError)


def _print_error(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


def _own_words(error: UserError) -> str:
    """The message without the traceback that torch adds to errors of loading processes."""
    name = type(error).__name__
    wrapped = rf"Caught {name} in DataLoader worker.*?^[\w.]*{name}: "
    return re.sub(wrapped, "", str(error), count=1, flags=re.DOTALL | re.MULTILINE).rstrip("\n")


def parser(doc: str) -> argparse.ArgumentParser:
    """An argument parser with the arguments that most programs have."""
    options = argparse.ArgumentParser(description=doc.partition("\n")[0])
    options.add_argument("--recipe", type=json.loads, required=True, help="what to make, as JSON")
    options.add_argument(
        "--free", type=json.loads, default={}, help="batch sizes and the like, JSON"
    )
    add_machine(options)
    options.add_argument("--devices", type=int, default=1, help="GPUs of this run")
    options.add_argument("--dask", default=None, help="address of a Dask scheduler")
    return options


def add_machine(options: argparse.ArgumentParser, device: str = "cpu") -> None:
    """Add the options for the machine of a program of one process; device: the default."""
    options.add_argument(
        "--device", default=device, type=_device, choices=["cpu", "cuda"],
        help=f"or auto: a GPU if there is one (default: {device})",
    )  # fmt: skip
    options.add_argument("--threads", type=at_least(1), default=2, help="CPU cores (default: 2)")
    options.add_argument("--workers", type=at_least(0), help="image loading processes")


def at_least(least: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers from `least` on."""

    def number(text: str) -> int:
        if not re.fullmatch(r"[0-9]+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} on")
        return int(text)

    return number


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch  # lazy import: slow, and most programs run no network

    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"device: auto, which is {device} here", flush=True)
    return device


def add_formats(options: argparse.ArgumentParser) -> None:
    """Add the options for what is written beside masks."""
    options.add_argument("--formats", nargs="+", default=[], help="of other programs")
    options.add_argument("--overlays", action="store_true", help="also drawn over the images")


def add_analysis(arguments: argparse.ArgumentParser) -> None:
    """Add the options of an analysis, a block of `config.analyses`: `--analysis`."""
    arguments.add_argument("--analysis", type=json.loads, required=True, help="as JSON")


def add_index(options: argparse.ArgumentParser) -> None:
    """Add the option for the index of the images to work on."""
    what = "table of the images, or one per split"
    options.add_argument("--index", type=Path, nargs="+", required=True, help=what)


def add_paths(options: argparse.ArgumentParser, *names: str) -> None:
    """Add required path arguments."""
    for name in names:
        options.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True)
