"""The exception tree: exit codes, and the drawing at the top of the file."""

from __future__ import annotations

import inspect
import re

import pytest

from stream import errors
from stream.errors import BetapackError, BrokerUnavailable, ConfigError

RAISED = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BetapackError)]


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_the_drawing_is_the_tree(kind: type[BetapackError]) -> None:
    """Every class stands in the drawing with its exit code, one level below its parent."""
    drawing = errors.__doc__ or ""
    line = re.search(rf"^([│├└─ ]*){kind.__name__} +(\d)  \S", drawing, re.MULTILINE)
    assert line is not None
    assert int(line[2]) == kind.exit_code
    depth = len(kind.__mro__) - len(BetapackError.__mro__)
    assert len(line[1]) == 4 * depth


def test_nothing_else_is_drawn() -> None:
    """The drawing names no class that does not exist."""
    drawn = re.findall(r"^[│├└─ ]*([A-Z]\w+) +\d  ", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted(kind.__name__ for kind in RAISED)


def test_exit_codes() -> None:
    """2 for usage and configuration, 3 for data that cannot be had, 4 for the rest."""
    assert BetapackError.exit_code == 4
    assert ConfigError.exit_code == 2
    assert BrokerUnavailable("nothing listens", "refused").exit_code == 3
    assert BrokerUnavailable("nothing listens", "refused").reason == "refused"
