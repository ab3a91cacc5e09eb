"""What `betapack confirm` states, before it is written."""

from __future__ import annotations

import pytest

from stream.cli.confirmation import statement_of
from stream.config import Config
from stream.errors import ConfigError


def test_positions_are_all_that_the_book_holds(desk: Config) -> None:
    """Without any the levels of the service count; `flat` is a statement too. It has no time of its own."""
    statement = statement_of(desk, "spot", "ledger", ("EUR=9e6", "JPY=-1"), flat=False)
    assert statement.positions == {"EUR": 9e6, "JPY": -1.0}
    assert (statement.reason, statement.event_time_ns) == ("ledger", None)
    assert statement_of(desk, "spot", "ledger", (), flat=False).positions is None
    assert statement_of(desk, "spot", "ledger", (), flat=True).positions == {}


@pytest.mark.parametrize(
    ("book", "positions", "flat", "message"),
    [
        ("x", (), False, "--book must be one of spot, options, got 'x'"),
        ("spot", ("EUR",), False, "got 'EUR'"),
        ("spot", ("XAU=1",), False, "EUR, CHF, JPY"),
        ("spot", ("EUR=1", "EUR=2"), False, "at most once, got 'EUR=2'"),
        ("spot", ("EUR=many",), False, "with a number, got 'EUR=many'"),
        ("spot", ("EUR=nan",), False, "with a number, got 'EUR=nan'"),
        ("spot", ("EUR=1",), True, "--flat"),
    ],
)
def test_what_cannot_be_right_is_refused(
    desk: Config, book: str, positions: tuple[str, ...], flat: bool, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        statement_of(desk, book, "ledger", positions, flat=flat)
