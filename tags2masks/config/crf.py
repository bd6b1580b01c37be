"""Dense conditional random fields: blocks within others."""

from collections.abc import Iterator
from typing import ClassVar, Literal, TypeVar

from pydantic import Field, PrivateAttr

from tags2masks.config.base import Block, added

SomeBlock = TypeVar("SomeBlock", bound=Block)


# The deviations have lower bounds because pydensecrf stores positions and colours, divided by the
# deviations, in 16 bits, and writes out of bounds where they overflow.
class Gaussian(Block):
    """Pairwise term on position."""

    sxy: float = Field(3, ge=0.5, description="Deviation in pixels.")
    compat: float = Field(3, ge=0, le=1e4)


class Bilateral(Block):
    """Pairwise term on position and colour."""

    sxy: float = Field(50, ge=0.5, description="Deviation in pixels.")
    srgb: float = Field(5, ge=0.1, description="Deviation in colour values, 0 to 255.")
    compat: float = Field(10, ge=0, le=1e4)


class DenseCrf(Block):
    """A dense conditional random field."""

    cites: ClassVar[tuple[str, ...]] = ("krahenbuhl2011crf",)

    iterations: int = Field(10, ge=1)
    gaussian: Gaussian = Gaussian()
    bilateral: Bilateral = Bilateral()
    backend: Literal["pydensecrf", "torch"] = added(
        "pydensecrf",
        description="What computes the mean field. pydensecrf: one process per thread, on the CPU; "
        "torch: the same lattice on the config's `device`, for GPUs. Labels are the same for at "
        "least 99.5 % of pixels.",
    )
    _device: str = PrivateAttr("cpu")  # of the job; see `on_device`

    @property
    def device(self) -> str:
        """Where the mean field is computed: `cpu` or `cuda`."""
        return self._device if self.backend == "torch" else "cpu"


class LabelCrf(DenseCrf):
    """A dense CRF on labels; the defaults are those of IRN's public code."""

    gt_prob: float = Field(0.7, gt=0, lt=1, description="Confidence in the label of a pixel.")


def crfs_in(block: Block) -> Iterator[DenseCrf]:
    """The dense CRFs of a block: itself, and those within."""
    if isinstance(block, DenseCrf):
        yield block
    for name in type(block).model_fields:
        if isinstance(value := getattr(block, name), Block):
            yield from crfs_in(value)


def on_device(block: SomeBlock, device: str) -> SomeBlock:
    """A copy of a block whose CRFs of backend `torch` are computed on a device, cpu or cuda."""
    copied = block.model_copy(deep=True)
    for crf in crfs_in(copied):
        crf._device = device
    return copied


def crf_processes(block: Block, threads: int) -> int:
    """How many processes compute a block's CRFs: `threads`, or this one alone if on a GPU."""
    return 1 if any(crf.device == "cuda" for crf in crfs_in(block)) else threads
