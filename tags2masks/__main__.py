"""The command `tags2masks`: data in, runs, models out, what a run was made of, housekeeping."""

import argparse
import json
import math
import os
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
from tags2masks.importing.formats import FORMATS
from tags2masks.provenance import read_provenance
from tags2masks.references import bibtex
from tags2masks.workflow.artifacts import Experiment, all_artifacts, reference_cams, with_upstream
from tags2masks.workflow.building import build_experiments
from tags2masks.workflow.checkout import copy_examples, given_config, snakemake_command
from tags2masks.workflow.cited import cited
from tags2masks.workflow.prune import SHOWN, Unused, other_datasets, remove, unused
from tags2masks.workflow.times import summed, table, times_of


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

    run = commands.add_parser("run", help="run a config with Snakemake, in this folder")
    run.add_argument("config", type=Path, metavar="CONFIG", help="without one here: the demo's")
    run.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT",
        help="Snakemake's, such as --cores 2, --dry-run, --profile slurm, or a target",
    )  # fmt: skip
    run.set_defaults(command=_run)

    examples = commands.add_parser(
        "examples", help="write the demo's config, papers/ and the Slurm profile into this folder"
    )
    examples.set_defaults(command=_examples)

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the artifacts"
    )

    _add_import(commands)
    init = commands.add_parser("init", help="write a first config that fits a folder of images")
    init.add_argument("folder", type=Path, metavar="FOLDER", help="of images, or of an import")
    init.add_argument("--out", type=Path, default=Path("config.yaml"), help="(config.yaml)")
    init.add_argument("--tags", type=Path, help="the table of tags, if it is elsewhere")
    init.set_defaults(command=_init)
    check = commands.add_parser(
        "check", help="look at the data of a config before anything is trained"
    )
    check.add_argument("config", type=Path, metavar="CONFIG", help="the config file")
    check.add_argument("--no-masks", action="store_true", help="leave the true masks unread")
    check.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="threads that read images"
    )
    check.set_defaults(command=_check)

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

    times = commands.add_parser(
        "times", parents=[chain], help="print the time and memory of what an experiment is made of"
    )
    times.add_argument(
        "--logs", type=Path, default=Path("logs"), help="folder of the logs (default: logs)"
    )
    times.set_defaults(command=_times)

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
    args, unknown = parser.parse_known_args()
    if unknown:
        hint = "; CONFIG comes first, then Snakemake's arguments" if args.command is _run else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return args


def _run(args: argparse.Namespace) -> None:
    """Become Snakemake with the Snakefile of this installation.

    Neither it nor its jobs import packages of the working directory, which may be another clone.
    """
    command = snakemake_command(given_config(args.config), args.arguments)
    os.execve(command[0], command, os.environ | {"PYTHONSAFEPATH": "1"})


def _examples(args: argparse.Namespace) -> None:
    """Write the configs that come with tags2masks into this folder."""
    print("\n".join(map(str, copy_examples(Path()))))


def _add_import(commands: argparse._SubParsersAction) -> None:
    kinds = "\n".join(f"  {kind:14s} {form.what}" for kind, form in FORMATS.items())
    parser = commands.add_parser(
        "import",
        help="write a folder data set from another program's annotations",
        description=f"Write a data set from another program's annotations. Kinds:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=FORMATS, metavar="KIND", help="format of the annotations")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="see the kind")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for the data set")
    parser.add_argument("--images", type=Path, help="folder of the images, if it is elsewhere")
    parser.add_argument("--masks", type=Path, help="folder of the masks (colours)")
    parser.add_argument("--table", type=Path, help="table of the masks' colours (colours)")
    parser.add_argument("--classes", help="classes to take, in their order: cat,dog")
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--copy", action="store_true", help="copy the images; else they stay")
    files.add_argument("--link", action="store_true", help="make hard links to the images")
    parser.add_argument(
        "--val", type=_share, metavar="SHARE",
        help="share of val, divided anew by tags (default: the source's splits, or 0.2)",
    )  # fmt: skip
    parser.add_argument(
        "--parent", metavar="REGEX",
        help="what the images of one parent (tiles, frames) have in common in their paths",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the division")
    parser.set_defaults(command=_import)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share; write a number from 0, below 1")
    return value


def _import(args: argparse.Namespace) -> None:
    """Write a data set from other annotations, and print what is in it and what was dropped."""
    from tags2masks.importing.formats import reader_of
    from tags2masks.importing.items import Options
    from tags2masks.importing.writing import Division, report, write_dataset

    if not args.source.exists():
        raise UserError(f"{args.source}: no such file or folder; correct SOURCE")
    source = reader_of(args.kind)(args.source, Options(args.images, args.masks, args.table))
    imported = write_dataset(
        source,
        args.out,
        Division(args.val, args.parent, args.seed),
        files="copied" if args.copy else "linked" if args.link else "named",
        only=[name.strip() for name in args.classes.split(",")] if args.classes else None,
        threads=os.cpu_count() or 1,
    )
    report(imported, args.out)


def _init(args: argparse.Namespace) -> None:
    """Write a config for a folder of images."""
    import torch

    from tags2masks.importing.first_config import write_first_config

    gpu = torch.cuda.is_available()
    device = "cuda" if gpu else "cpu"
    about = torch.cuda.get_device_name() if gpu else f"no GPU, {os.cpu_count()} CPU cores"
    write_first_config(args.folder, args.out, args.tags, device, about, os.cpu_count() or 1)


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


def _check(args: argparse.Namespace) -> None:
    """Print a summary of each data set of a config; exit with status 1 if a run would stop."""
    # Lazy imports: they take seconds, and other commands need none of them.
    from tags2masks.checking.dataset import check_dataset
    from tags2masks.checking.text import conclusion, summary

    config, experiments = _read(args.config)
    tested = {one.dataset for one in experiments if "predictions" in one.artifacts}
    findings, stops = [], False
    for name, spec in config.datasets.items():
        needed = spec.evaluate_on if name in tested else None
        checked = check_dataset(
            spec, config.seed, needed, masks=not args.no_masks, threads=args.threads
        )
        print(summary(name, spec.title, checked), end="\n\n", flush=True)
        findings += checked.findings
        stops = stops or checked.stops
    print(conclusion(str(args.config), findings))
    if stops:
        sys.exit(1)


def _cite(args: argparse.Namespace) -> None:
    """Print the BibTeX entries of an experiment's methods, networks and data set."""
    config, experiment = _experiment(args)
    print(bibtex(cited(config, [experiment])))


def _times(args: argparse.Namespace) -> None:
    """Print the time and memory of an experiment's artifacts and of what these are made from."""
    _, experiment = _experiment(args)
    made = with_upstream(artifact for _, artifact in experiment.products)
    rows = [(a.stage, a.id, times_of(a, args.logs)) for a in made]
    together = ("together", "", summed(times for *_, times in rows))
    print("\n".join(table([*rows, together])))


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
