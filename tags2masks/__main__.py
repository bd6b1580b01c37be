"""The command `tags2masks`: data in, runs, models out, what a run was made of, housekeeping."""

import argparse
import sys

from tags2masks.commands import data, experiments, predict, prune, runs
from tags2masks.errors import UserError


def main() -> None:
    """Run the command that the arguments name; a user's error exits with one line and status 1."""
    args = _arguments()
    try:
        args.command(args)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # for example from `| head`
        sys.exit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tags2masks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (runs, data, experiments, predict, prune):
        module.add(commands)
    args, unknown = parser.parse_known_args()
    if unknown:
        hint = getattr(args, "unknown", "")
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return args


if __name__ == "__main__":
    main()
