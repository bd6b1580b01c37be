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
for _ in range(3):
    np.ones({size}, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({times}):
    np.ones({size}, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(keep: bool, size: int, times: int) -> int:
    """Pages that the kernel hands out while `size` bytes are allocated and freed this often."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep, size=size, times=times)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="malloc of glibc")
@pytest.mark.parametrize("size, times", [(128_000_000, 20), (2_300_000_000, 2)])
def test_large_blocks_are_reused(size, times):
    """Of more than 2 GiB, too: what a training step frees at its end."""
    assert page_faults(True, size, times) * 20 < page_faults(False, size, times)
