"""What a command has to do with its terminal and its shell: exit codes, talk on stderr, JSON on stdout, signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgspec import Struct

EXIT_DONE, EXIT_FINDING, EXIT_INTERNAL, EXIT_INTERRUPTED = 0, 1, 4, 130
"""The codes 2 and 3 come from cyclopts and from the errors of `stream.errors`."""


def say(text: str) -> None:
    """Print a line to stderr: stdout is for data."""
    print(text, file=sys.stderr, flush=True)


def as_json(answer: Struct) -> str:
    """`answer` as indented JSON."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()


def stop_on_signals() -> Callable[[], bool]:
    """Take SIGINT and SIGTERM as a wish to stop; the returned function says whether one came.

    A second SIGINT ends the process at once, for an operator who will not wait.
    """
    came: list[int] = []

    def take(number: int, frame: object) -> None:
        came.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, take)
    signal.signal(signal.SIGTERM, take)
    return lambda: bool(came)
