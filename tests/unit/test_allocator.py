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
    np.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(keep: bool) -> int:
    """Pages that the kernel hands out while 128 MB are allocated and freed twenty times."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="malloc of glibc")
def test_large_blocks_are_reused():
    assert page_faults(keep=True) * 20 < page_faults(keep=False)
