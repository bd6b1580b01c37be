"""A process keeps the memory that it frees, for the same work, and gives it back for other."""

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


GIVING_BACK = """
from pathlib import Path
import numpy as np
from tags2masks.allocator import give_back, keep_freed_memory
assert keep_freed_memory()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 1_000_000
start, small = resident(), []
for megabytes in (90, 80, 70):
    large = [np.ones(megabytes * 1_000_000, np.uint8) for _ in range(3)]
    del large
    small.append(np.ones(1000, np.uint8))  # stays in the middle of what was freed
kept = resident() - start
give_back()
print(kept, resident() - start)
"""


def printed(program: str) -> list[str]:
    """The words that a Python program prints."""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    return ran.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="malloc of glibc")
def test_what_was_freed_goes_back_on_request_though_small_blocks_lie_between():
    kept, left = map(int, printed(GIVING_BACK))
    assert kept > 250  # three blocks of 90 MB, as exactly as the kernel keeps count
    assert left < 20
