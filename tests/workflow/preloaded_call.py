"""`python -I -S preloaded_call.py ADDRESS ARGUMENTS…`: the server runs `python ARGUMENTS`.

It is started for every job, so it imports no more than it needs.
"""

import array
import json
import os
import socket
import sys


def call(address: str, arguments: list[str]) -> int:
    """Have the server at this address run `python ARGUMENTS`; the exit status."""
    about = {
        "arguments": arguments,
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes longer to import than the call takes
        "environment": dict(os.environ),
        "group": os.getpgrp(),
        "umask": os.umask(0),
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        handles = array.array("i", [0, 1, 2])
        connection.sendmsg([b"-"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)])
        connection.sendall(json.dumps(about).encode() + b"\n")
        status = connection.recv(16)
    return int(status) if status else 137


if __name__ == "__main__":
    sys.exit(call(sys.argv[1], sys.argv[2:]))
