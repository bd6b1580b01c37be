"""A random division into train and val that keeps the images of one parent together."""

import random
import re
from collections import Counter
from collections.abc import Sequence

from tags2masks.errors import UserError


def parents_of(paths: Sequence[str], pattern: str | None) -> list[str]:
    """The parent of each image: what the pattern's first group, or else the whole pattern, matches
    in its path. An image without a match, or without a pattern, is its own parent.

    Raises UserError for a pattern that is invalid or matches no path.
    """
    if pattern is None:
        return list(paths)
    try:
        found = [re.search(pattern, path) for path in paths]
    except re.error as error:
        raise UserError(f"--parent '{pattern}': no regular expression ({error})") from None
    if not any(found):
        raise UserError(
            f"--parent '{pattern}': matches no image, such as {paths[0]}; correct it, or leave it "
            "out"
        )
    return [
        path if match is None else next((group for group in match.groups() if group), match[0])
        for path, match in zip(paths, found, strict=True)
    ]


def stratified(
    tags: Sequence[Sequence[str]], parents: Sequence[str], share: float, seed: int
) -> list[str]:
    """The split of each image, "train" or "val"; images of one parent are in one split.

    share: of the images in val. Iterative stratification (Sechidis et al., ECML PKDD 2011) over
    parents: the rarest class first, each of its parents goes to the split that lacks most of the
    class, then most images. A class of one parent is in train.
    """
    counts: dict[str, Counter] = {}
    sizes = Counter(parents)
    for own, parent in zip(tags, parents, strict=True):
        counts.setdefault(parent, Counter()).update(own)
    total = sum(counts.values(), Counter())
    shares = {"train": 1 - share, "val": share}
    lacks = {s: Counter({n: part * total[n] for n in total}) for s, part in shares.items()}
    room = {split: part * len(parents) for split, part in shares.items()}
    waiting = sorted(counts)
    random.Random(seed).shuffle(waiting)
    # Larger parents first: the small ones then even out what they leave.
    waiting.sort(key=lambda parent: -sizes[parent])
    chosen: dict[str, str] = {}
    while waiting:
        left = sum((counts[parent] for parent in waiting), Counter())
        name = min(left, key=lambda name: (left[name], name)) if left else None
        for parent in [p for p in waiting if name is None or counts[p][name]]:
            # train before val, where both lack equally many
            split = max(shares, key=lambda s: (lacks[s][name] if name else 0, room[s]))
            chosen[parent] = split
            lacks[split].subtract(counts[parent])
            room[split] -= sizes[parent]
        waiting = [parent for parent in waiting if parent not in chosen]
    return [chosen[parent] for parent in parents]
