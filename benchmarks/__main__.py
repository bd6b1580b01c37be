"""Measure and tell: `python -m benchmarks [--quick] [--only NAME ...]`.

A whole run writes docs/benchmarks.md; a quick one, or one of some subjects, prints alone.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import (
    bbam,
    cam,
    climbing,
    clip,
    crf,
    curve,
    dag,
    ficklenet,
    instances,
    mctformer,
    memory,
    objects,
    prototypes,
    saliency,
    store,
    training,
    walk,
)
from benchmarks.table import describe_machine, page, section
from tags2masks.files import written_whole

SUBJECTS = {
    "curve": curve,
    "training": training,
    "objects": objects,
    "cam": cam,
    "saliency": saliency,
    "ficklenet": ficklenet,
    "mctformer": mctformer,
    "climbing": climbing,
    "clip": clip,
    "prototypes": prototypes,
    "walk": walk,
    "crf": crf,
    "bbam": bbam,
    "instances": instances,
    "store": store,
    "memory": memory,
    "dag": dag,
}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Run the subjects and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that all runs")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    args = parser.parse_args()

    machine = describe_machine()
    results = []
    for name in args.only:
        print(f"{name} …", file=sys.stderr, flush=True)
        results.append((SUBJECTS[name], SUBJECTS[name].measure(args.quick)))
        print(section(*results[-1]), file=sys.stderr, flush=True)  # not lost if the next one fails
    whole = not args.quick and args.only == list(SUBJECTS)
    command = "make bench" if whole else " ".join(["python -m benchmarks", *sys.argv[1:]])
    text = page(results, machine, command)
    print(text)
    if whole:
        with written_whole(PAGE) as beside:
            beside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
