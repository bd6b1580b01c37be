"""Rank the candidates for out-of-distribution images, and make the page to prune them."""

from pathlib import Path

import torch

from tags2masks.classifiers.validation import applied, plain_views
from tags2masks.data.candidates import RANKED, candidates_of
from tags2masks.data.index import read_classes, read_index, rows_of
from tags2masks.data.tables import write_table
from tags2masks.files import written_whole
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.nets.checkpoint import read_spec
from tags2masks.nets.trained import load_trained
from tags2masks.program import add_index, add_paths, parser, run
from tags2masks.provenance import provenance, write_record
from tags2masks.report.review import write_review
from tags2masks.workflow.ids import artifact_id


def main() -> None:
    """Read the arguments, rank, and write the table, its provenance and the page."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "candidate_root", "model", "spec", "output")
    add_index(arguments)
    arguments.add_argument(
        "--candidates", type=Path, nargs="+", required=True, help="tables of the candidates"
    )
    args = arguments.parse_args()

    machine = Machine(args.device, 1, args.threads, args.workers)
    prepare(machine, args.recipe["seed"])
    spec = method_block("ood", args.recipe, args.free)
    network, classes = load_trained("classifier", args.model, args.spec, args.recipe["upstream"])
    network.to(machine.device).to(memory_format=torch.channels_last)
    train = read_index(*args.index)
    candidates = candidates_of(
        read_index(*args.candidates), rows_of(train, "train"), read_classes(args.classes, train)
    )
    ordinary = method_block("classifiers", read_spec(args.spec)["recipe"])
    views = plain_views(candidates, args.candidate_root, classes, ordinary)
    logits = torch.cat(list(applied(network, views, machine)))
    ranked = method_module("ood", args.recipe).rank(
        logits, candidates["image"].tolist(), classes, spec
    )
    print(f"{len(ranked)} of {len(candidates)} candidates are taken for a class", flush=True)

    folder, outputs = args.output.parent, spec.further_outputs
    with written_whole(folder / outputs["review"]) as beside:
        page = write_review(
            artifact_id(args.recipe),
            ranked,
            candidates,
            args.candidate_root,
            classes,
            spec.thumbnail,
        )
        beside.write_text(page, encoding="utf-8")
    write_record(folder / outputs["spec"], provenance(args.recipe))
    ranked = ranked.assign(score=[f"{score:.6f}" for score in ranked["score"]])
    write_table(args.output, ranked, RANKED)


if __name__ == "__main__":
    run(main)
