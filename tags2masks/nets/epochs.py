"""The checkpoints of all epochs that a training with `keep_states` leaves beside its model."""

from pathlib import Path

from tags2masks.checkpoints import state_file
from tags2masks.errors import UserError


def kept_states(model: Path, epochs: int) -> list[Path]:
    """The checkpoint of every epoch, for `trained.load_epoch`; raises UserError for one not there.

    model: the file of the trained network.
    """
    states = [state_file(model.parent / "state", epoch + 1) for epoch in range(epochs)]
    for state in states:
        if not state.exists():
            raise UserError(
                f"{state}: no such checkpoint; set keep_states: true in the classifier, delete "
                f"{model} and run again"
            )
    return states
