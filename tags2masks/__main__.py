"""The command `tags2masks`: lineage, citations and export of experiments; predict; prune."""

import argparse
import json
import math
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import yaml

from tags2masks.config.base import ConfigError
from tags2masks.config.project import Config, choices, parse_config
from tags2masks.config.reading import read_config
from tags2masks.errors import UserError
from tags2masks.export import command as predicting
from tags2masks.program import run
from tags2masks.provenance import read_provenance
from tags2masks.workflow.artifacts import Experiment, all_artifacts, reference_cams, with_upstream
from tags2masks.workflow.building import build_experiments
from tags2masks.workflow.prune import SHOWN, Unused, other_datasets, remove, unused


def main() -> None:
    """Run the command that the arguments name; a user's error exits with one line and status 1."""
    args = _arguments()
    try:
        args.command(args)
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # for example from `| head`
        sys.exit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tags2masks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the artifacts"
    )

    chain = argparse.ArgumentParser(add_help=False)
    # A single file: with several, the option would consume the experiment as one of them.
    chain.add_argument(
        "--configfile", type=lambda file: [Path(file)], default=[Path("config.yaml")],
        metavar="FILE", help="the config (default: config.yaml)",
    )  # fmt: skip
    chain.add_argument("experiment", help="as the leaderboard names it: dataset/classifier/…")

    lineage = commands.add_parser(
        "lineage", parents=[shared, chain], help="print what an experiment was made of, in steps"
    )
    lineage.add_argument("--json", action="store_true", help="print it as JSON")
    lineage.set_defaults(command=_lineage)

    cite = commands.add_parser("cite", parents=[chain], help="print BibTeX of what a chain uses")
    cite.set_defaults(command=_cite)

    export = commands.add_parser(
        "export", parents=[shared, chain], help="write a finished segmenter as a folder of its own"
    )
    export.add_argument("folder", type=Path, help="the folder to write, which must not exist")
    export.add_argument(
        "--format", action="append", default=[], choices=["onnx", "pt2"],
        help="also as a graph: onnx, or pt2 of torch.export; may be given twice",
    )  # fmt: skip
    export.set_defaults(command=_export)

    predict = commands.add_parser("predict", help="segment images with an exported segmenter")
    predicting.add_arguments(predict)
    predict.set_defaults(command=lambda args: run(partial(predicting.predict, args)))

    prune = commands.add_parser(
        "prune", parents=[shared], help="list artifacts that no experiment of the configs refers to"
    )
    prune.add_argument(
        "--configfile", type=Path, nargs="+", default=[Path("config.yaml")], metavar="FILE",
        help="configs, each on its own (default: config.yaml)",
    )  # fmt: skip
    prune.add_argument("--delete", action="store_true", help="delete them")
    prune.set_defaults(command=_prune)
    return parser.parse_args()


def _read(file: Path) -> tuple[Config, list[Experiment]]:
    """The config in a file and its experiments; raises UserError naming the file."""
    raw = read_config(file)
    try:
        config = parse_config(raw)
        return config, build_experiments(config)
    except ConfigError as error:
        lines = (f"{file}: {line}" for line in str(error).splitlines())
        raise UserError("\nerror: ".join(lines)) from None


def _experiment(args: argparse.Namespace) -> tuple[Config, Experiment]:
    """The experiment of the configs that the arguments name, and its config."""
    wanted = args.experiment.replace(" ", "")
    read = [_read(file) for file in args.configfile]
    known = {e.name: (config, e) for config, experiments in read for e in experiments}
    if wanted not in known:
        raise UserError(f"no experiment '{wanted}'; {choices(wanted, known)}")
    return known[wanted]


def _cite(args: argparse.Namespace) -> None:
    """Print the BibTeX entries of an experiment's methods, networks and data set."""
    config, experiment = _experiment(args)
    blocks = [config.datasets[experiment.dataset]]
    blocks += [artifact.block for artifact in with_upstream(a for _, a in experiment.products)]
    keys = dict.fromkeys(key for block in blocks for key in block.cited())
    print("\n\n".join(references()[key] for key in keys))


def _export(args: argparse.Namespace) -> None:
    """Write the segmenter of an experiment as a folder that stands alone."""
    _, experiment = _experiment(args)
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


def references() -> dict[str, str]:
    """The entries of references.bib by their keys."""
    text = Path(__file__).with_name("references.bib").read_text(encoding="utf-8")
    entries = [f"@{entry.strip()}" for entry in text.removeprefix("@").split("\n@")]
    return {re.search(r"\{(\w+),", entry)[1]: entry for entry in entries}


def _lineage(args: argparse.Namespace) -> None:
    """Print the artifacts of an experiment with their recipes."""
    _, experiment = _experiment(args)
    chain = []
    for _, artifact in experiment.products:
        folder = args.results / artifact.dataset / artifact.stage / artifact.id
        exists = folder.exists()
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


def _plain(value: dict | str) -> str:
    """A value on one line, in the YAML of a config."""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    ).strip()


def _prune(args: argparse.Namespace) -> None:
    """List the artifacts and shards that no experiment refers to, or delete them."""
    used, shards = set(), {}
    for file in args.configfile:
        config, experiments = _read(file)
        used |= set(all_artifacts(experiments))
        for name, dataset in config.datasets.items():
            shards[name] = max(dataset.shards, shards.get(name, 0))
        # Used for measuring only.
        cams = reference_cams(config, experiments) if config.evaluation.regions else {}
        used |= {(cam.dataset, cam.stage, cam.id) for cam in cams.values()}
    leftovers = unused(args.results, used, shards)
    for leftover in leftovers:
        print(f"{_size(leftover):>10}  {leftover.path}")
    total = _size(*leftovers)
    stale = sum(
        leftover.path.parent.name not in SHOWN and leftover.path.suffix == ".zip"
        for leftover in leftovers
    )
    parts = [(len(leftovers) - stale, "artifacts"), (stale, "shards")]
    what = " and ".join(f"{count} {name}" for count, name in parts if count)
    configs = ", ".join(map(str, args.configfile))
    if not leftovers:
        print(f"Every artifact in {args.results} belongs to an experiment of {configs}")
    elif args.delete:
        remove(leftovers, args.results)
        print(f"{total:>10}  deleted: {what} that no experiment of {configs} uses")
    else:
        print(f"{total:>10}  in {what} that no experiment of {configs} uses; --delete deletes them")
    if others := other_datasets(args.results, shards):
        print(
            f"Left alone: {', '.join(others)}, data sets that {configs} does not name; give their "
            "config with --configfile too, or delete their folders by hand"
        )
    free = shutil.disk_usage(args.results).free / 1e9 if args.results.exists() else 0
    print(f"{free:7.1f} GB  free on this disk")


def _size(*leftovers: Unused) -> str:
    size = sum(leftover.size for leftover in leftovers)
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
