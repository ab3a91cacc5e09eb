"""Many command lines in one process, which loads the program once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

RUN_ALL = """
import contextlib, io, json, sys
from stream.cli.main import main

ended = []
for arguments in json.load(sys.stdin):
    sys.argv = ["betapack", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(io.StringIO()) as stderr:
        try:
            main()
        except SystemExit as end:
            ended.append((end.code or 0, stdout.getvalue(), stderr.getvalue()))
print(json.dumps(ended))
"""


class Ended(NamedTuple):
    """How a command ended: what it asked the interpreter to exit with, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def betapack_each(commands: Sequence[Sequence[str]], folder: Path | None = None) -> list[Ended]:
    """Runs `betapack` with each of `commands`, one after another; for those that end before they start anything."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        input=json.dumps([list(arguments) for arguments in commands]),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=folder,
    )
    assert ran.returncode == 0, ran.stderr
    ended = [Ended(*each) for each in json.loads(ran.stdout)]
    assert len(ended) == len(commands)
    return ended
