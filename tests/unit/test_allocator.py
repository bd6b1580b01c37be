"""A process keeps the memory that it frees, and so touches no new pages for the same work."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource
import numpy as np
from tags2masks.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def touch():
    np.empty({size}, np.uint8)[:16_000_000] = 1  # enough to tell, and quick
for _ in range(3):
    touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(keep: bool, size: int) -> int:
    """Pages that the kernel hands out while `size` bytes are allocated and freed twenty times."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep, size=size)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="malloc of glibc")
@pytest.mark.parametrize("size", [128_000_000, 2_300_000_000])
def test_large_blocks_are_reused(size):
    """Of more than 2 GiB, too: what a training step frees at its end."""
    assert page_faults(True, size) * 20 < page_faults(False, size)
