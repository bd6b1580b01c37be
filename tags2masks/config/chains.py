"""Fields that name another chain of entries, such as `vanilla/cam/crf/net`.

The chain is that of an experiment without its data set: it is made of the same data set, with the
same seed, whether or not an experiment lists it. What it ends in becomes one more upstream artifact
of the entry; `Entry.named_chains` has the stage that it must end in.
"""

from typing import Annotated

from pydantic import AfterValidator


def _checked(path: str) -> str:
    if "{" in path or "}" in path:
        raise ValueError(f"'{path}' has braces; name one chain, or list several where a list fits")
    names = [name.strip() for name in path.split("/")]
    if not all(names):
        raise ValueError(f"'{path}' has an empty name; write entries with one '/' between them")
    return "/".join(names)


ChainPath = Annotated[str, AfterValidator(_checked)]
