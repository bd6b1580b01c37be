"""Write the lineage of every artifact beside it."""

import argparse
import json

from tags2masks.files import written_whole
from tags2masks.program import add_paths, run
from tags2masks.provenance import lineage
from tags2masks.report.summary import read_outline


def main() -> None:
    """Read the arguments and write a lineage.json into the folder of each artifact."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_paths(parser, "outline", "results")
    args = parser.parse_args()

    artifacts = read_outline(args.outline)["artifacts"]
    for dataset, stage, id in artifacts:
        chain = lineage(args.results, dataset, stage, id)
        with written_whole(args.results / dataset / stage / id / "lineage.json") as beside:
            beside.write_text(
                json.dumps(chain, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )
    print(f"The lineage of {len(artifacts)} artifacts is written beside them")


if __name__ == "__main__":
    run(main)
