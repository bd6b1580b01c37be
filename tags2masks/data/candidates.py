"""Candidates for out-of-distribution images, and those of them that are used."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.data.tables import read_checked
from tags2masks.data.warnings import Warned
from tags2masks.errors import UserError, raise_together
from tags2masks.user_tables import NO_TABLE, clean_path, keep_rows, kept_digest

RANKED = ("image", "class", "score")


def candidates_of(pool: pd.DataFrame, train: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The rows of a pool's index that may be out of the distribution of the training images.

    Their tags, which mean something else, are taken off.

    Images with a tag that is one of the classes (in any case of letters), and files that are among
    the training images, are left out; their numbers are printed.
    Raises UserError if no candidate is left.
    """
    known = {name.casefold() for name in classes}
    tagged = np.array([any(t.casefold() in known for t in tags) for tags in pool["tags"]], bool)
    trained = pool["sha"].isin(set(train["sha"])).to_numpy()
    for wrong, said in (
        (tagged, "are tagged with one of the classes"),
        (trained & ~tagged, "are among the training images"),
    ):
        if wrong.any():
            print(f"{wrong.sum()} of {len(pool)} candidates {said}: left out", file=sys.stderr)
    rows = pool[~tagged & ~trained].reset_index(drop=True)
    if rows.empty:
        raise UserError(
            "no candidate for out-of-distribution images: give images the split ood, or name "
            "another data set as ood.candidates"
        )
    return rows.assign(tags=[()] * len(rows))


def read_ranked(path: Path | str) -> pd.DataFrame:
    """The table of ranked candidates, the highest score first: image, class, score."""
    ranked = read_checked(path, RANKED, "run again")
    return ranked.assign(score=ranked["score"].astype(float))


def read_answers(
    table: Path, ranked: pd.DataFrame, candidates: pd.DataFrame, page: Path, digest: str
) -> dict[str, str]:
    """A person's answer (`user_tables.ANSWERS`) on every ranked candidate, in their order.

    table: the person's; candidates: the rows of all candidates; page: where a person answers;
    digest: of the answers that the run began with. A candidate that the ordinary classifier does
    not rank may be answered too: rankings with other seeds share a table.
    Raises UserError without a table, for other answers than at the beginning, and with the line of
    every image that is no candidate.
    """
    if kept_digest(table) != digest:
        raise UserError(f"{table} was edited after this run began; start the run again")
    if digest == NO_TABLE:
        raise UserError(
            f"{table}: does not exist yet, and {len(ranked)} candidates wait for a person's yes or "
            f"no; open {page}, save the table as {table}, and run again"
        )
    known = dict(zip(candidates["path"], candidates["image"], strict=True))
    known |= {image: image for image in candidates["image"]}
    answers, problems = {}, []
    for number, row in keep_rows(table):
        image = known.get(clean_path(row["image"]))
        if image is None:
            problems.append(
                f"{table}, line {number}: '{row['image']}' is none of the candidates; is it the "
                f"table of {page}?"
            )
        elif image in answers:
            problems.append(f"{table}, line {number}: '{row['image']}' is answered twice; keep one")
        else:
            answers[image] = row["keep"]
    raise_together(problems)
    return {image: answers.get(image, "") for image in ranked["image"]}


def kept_images(table: Path, answers: dict[str, str]) -> list[str]:
    """The images that a person keeps; raises UserError naming the table if there are none.

    answers: from `read_answers`.
    """
    kept = [image for image, answer in answers.items() if answer == "yes"]
    if not kept:
        raise UserError(
            f"{table}: keeps none of the {len(answers)} ranked candidates; answer yes to some, or "
            "take other candidates"
        )
    return kept


def waiting_warnings(table: Path, answers: dict[str, str], page: Path) -> list[Warned]:
    """A warning if candidates wait for an answer."""
    waiting = list(answers.values()).count("")
    if not waiting:
        return []
    said = f"{waiting} of {len(answers)} candidates"
    return [
        Warned(
            f"{said} for out-of-distribution images without an answer",
            f"{said} had no person's yes or no when it was trained, and were not used; open "
            f"{page}, load {table}, answer, save, and run again",
        )
    ]
