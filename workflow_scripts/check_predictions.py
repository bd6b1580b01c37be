"""Fail if some images of the segmented folders have no mask because they are damaged."""

import argparse
from pathlib import Path

from tags2masks.data.tables import read_table
from tags2masks.errors import raise_together
from tags2masks.program import run


def main() -> None:
    """Read the arguments and the folders' damaged.csv.

    Raises UserError with a line for each folder, and where there is none.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=Path, nargs="*", help="written by predict_images")
    folders, problems = parser.parse_args().folders, []
    if not folders:
        problems.append(
            "the config has no `predict`, so nothing is segmented; name folders of new images "
            "there (docs/your-images.md, New images)"
        )
    for folder in folders:
        damaged = read_table(folder / "damaged.csv", ("image", "problem"), "run again")
        if len(damaged):
            problems.append(
                f"{folder}: {len(damaged)} of its images could not be read, see "
                f"damaged.csv there; the first: {damaged['problem'].iloc[0]}; mend them, and run "
                "again with --forcerun predict_images"
            )
    raise_together(problems)


if __name__ == "__main__":
    run(main)
