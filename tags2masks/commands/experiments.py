"""What an experiment is made of, and its model: `lineage`, `cite`, `times`, `export`."""

import argparse
import json
import math
from collections.abc import Iterable
from pathlib import Path

import yaml

from tags2masks.commands.configs import experiment_arguments, named_experiment, results_option
from tags2masks.errors import UserError
from tags2masks.provenance import is_made, read_provenance
from tags2masks.references import bibtex
from tags2masks.workflow.artifacts import Artifact, with_upstream
from tags2masks.workflow.cited import cited
from tags2masks.workflow.times import summed, table, times_of


def add(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    results, chain = results_option(), experiment_arguments()
    lineage = commands.add_parser(
        "lineage", parents=[results, chain], help="print what an experiment was made of, in steps"
    )
    lineage.add_argument("--json", action="store_true", help="print it as JSON")
    lineage.set_defaults(command=_lineage)

    cite = commands.add_parser("cite", parents=[chain], help="print BibTeX of what a chain uses")
    cite.set_defaults(command=_cite)

    times = commands.add_parser(
        "times", parents=[chain], help="print the time and memory of what an experiment is made of"
    )
    times.add_argument(
        "--logs", type=Path, default=Path("logs"), help="folder of the logs (default: logs)"
    )
    times.set_defaults(command=_times)

    export = commands.add_parser(
        "export", parents=[results, chain], help="write a finished segmenter as a folder of its own"
    )
    export.add_argument("folder", type=Path, help="the folder to write, which must not exist")
    export.add_argument(
        "--format", action="append", default=[], choices=["onnx", "pt2"],
        help="also as a graph: onnx, or pt2 of torch.export; may be given twice",
    )  # fmt: skip
    export.set_defaults(command=_export)


def _lineage(args: argparse.Namespace) -> None:
    """Print the artifacts of an experiment with their recipes."""
    _, experiment = named_experiment(args)
    chain = []
    for artifact in _in_order(artifact for _, artifact in experiment.products):
        folder = args.results / artifact.dataset / artifact.stage / artifact.id
        exists = is_made(folder)
        provenance = read_provenance(folder) if exists else {}
        about = {"stage": artifact.stage, "id": artifact.id, "folder": str(folder), "made": exists}
        supervision = list(artifact.supervision)
        chain.append(about | {"recipe": artifact.recipe, "supervision": supervision})
        chain[-1] |= {"versions": provenance["versions"]} if exists else {}
    if args.json:
        print(json.dumps(chain, indent=2, ensure_ascii=False))
        return
    first = chain[0]["recipe"]
    about = {"data set": _plain(first["dataset"]), "seed": first["seed"]}
    print("\n".join([experiment.name, *(f"  {name:12s} {what}" for name, what in about.items())]))
    for entry in chain:
        print(f"\n{entry['stage']} {entry['id']}{'' if entry['made'] else '  (not made yet)'}")
        rows = {"made from": entry["recipe"]["upstream"], "spec": entry["recipe"]["spec"]}
        rows |= {"supervision": ", ".join(entry["supervision"]), "versions": entry.get("versions")}
        for name, value in rows.items():
            if value:
                print(f"  {name:12s} {_plain(value)}")


def _in_order(products: Iterable[Artifact]) -> list[Artifact]:
    """The artifacts and all that they are made from, each once and after what it is made from."""
    found: dict[tuple[str, str, str], Artifact] = {}

    def take(artifact: Artifact) -> None:
        if artifact.key not in found:
            for source in artifact.upstream.values():
                take(source)
            found[artifact.key] = artifact

    for artifact in products:
        take(artifact)
    return list(found.values())


def _plain(value: dict | str) -> str:
    """A value on one line, in the YAML of a config."""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    ).strip()


def _cite(args: argparse.Namespace) -> None:
    """Print the BibTeX entries of an experiment's methods, networks and data set."""
    config, experiment = named_experiment(args)
    print(bibtex(cited(config, [experiment])))


def _times(args: argparse.Namespace) -> None:
    """Print the time and memory of an experiment's artifacts and of what these are made from."""
    _, experiment = named_experiment(args)
    made = with_upstream(artifact for _, artifact in experiment.products)
    rows = [(a.stage, a.id, times_of(a, args.logs)) for a in made]
    together = ("together", "", summed(times for *_, times in rows))
    print("\n".join(table([*rows, together])))


def _export(args: argparse.Namespace) -> None:
    """Write the segmenter of an experiment as a folder that stands alone."""
    _, experiment = named_experiment(args)
    if "predictions" not in experiment.artifacts:
        raise UserError(f"{experiment.name}: ends before a segmenter; name one that has one")
    if args.folder.exists():
        raise UserError(f"{args.folder}: exists already; give another name, or delete it")
    from tags2masks.export.folder import export_segmenter  # lazy: torch is slow to import

    segmenter, predictions = (experiment.artifacts[s] for s in ("segmenter", "predictions"))
    files = export_segmenter(
        args.folder,
        args.results / segmenter.dataset / segmenter.stage / segmenter.id,
        segmenter.id,
        predictions.recipe,
        args.format,
    )
    print(f"{args.folder}: {experiment.name}")
    for name, what in files.items():
        print(f"  {name:18s} {what}")
