"""How the programs end."""

import pytest

from tags2masks.errors import UserError
from tags2masks.program import run


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (UserError("a.csv: mend it"), 1, "error: a.csv: mend it\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_the_user_gets_one_line_and_no_traceback(capsys, raised, status, said):
    def main():
        raise raised

    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == status
    assert capsys.readouterr().err == said
