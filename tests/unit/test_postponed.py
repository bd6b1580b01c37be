"""Programs start without torch's compiler, and have it when something of it is used."""

import subprocess
import sys

import pytest

BEFORE = "import sys, workflow_scripts, workflow_scripts.train, torch\n"
THERE = "print('sympy' in sys.modules)\n"
STEP = """
weight = torch.nn.Parameter(torch.ones(1))
optimizer = torch.optim.AdamW([weight])
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
"""


def printed(code: str) -> list[str]:
    """What a new Python prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, text=True, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_program_that_trains_does_not_import_the_compiler():
    assert printed(BEFORE + STEP + THERE) == ["False"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "shown"),
    [
        ("from torchvision.ops.roi_align import is_compile_supported as it", "it('cpu')"),
        ("import torch._dynamo.backends.registry as it", "'eager' in it.list_backends(None)"),
        ("from torch._dynamo import config as it", "it.recompile_limit > 0"),
        ("it = torch.compile(lambda x: 2 * x, backend='eager')", "it(torch.ones(1)).item() == 2"),
        ("import torch._dynamo.utils as it", "len(it.counters) == 0"),
    ],
)
def test_what_uses_the_compiler_gets_the_real_one(use, shown):
    real = "from torch._dynamo.eval_frame import OptimizedModule as real\n"
    same = "print(torch._dynamo.OptimizedModule is real, type(torch._dynamo).__name__)\n"
    lines = f"{use}\nprint({shown})\n"
    assert printed(BEFORE + THERE + lines + real + same + THERE) == [
        "False", "True", "True", "module", "True",
    ]  # fmt: skip
