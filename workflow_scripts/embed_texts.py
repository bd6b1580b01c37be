"""Embed the texts of the classes and of the background."""

from pathlib import Path

from tags2masks.data.index import read_classes
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.program import add_paths, parser, run
from tags2masks.texts.store import write_texts


def main() -> None:
    """Read the arguments, embed, and write the table."""
    arguments = parser(__doc__)
    add_paths(arguments, "root", "classes", "output")
    arguments.add_argument("--text_file", type=Path, help="the embeddings, if they are given")
    arguments.add_argument("--text_weights", type=Path, help="the text tower's, if from a file")
    args = arguments.parse_args()

    prepare(Machine(args.device, 1, args.threads, args.workers), args.recipe["seed"])
    spec = method_block("texts", args.recipe, args.free)
    method = method_module("texts", args.recipe)
    classes = read_classes(args.classes)
    texts, embeddings = method.embed(classes, spec, args.text_file, args.text_weights)
    write_texts(args.output, args.recipe, texts, embeddings)


if __name__ == "__main__":
    run(main)
