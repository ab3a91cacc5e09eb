"""What the service says of itself: a line ``event key=value`` a change of state. What happens per tick is a metric."""

from __future__ import annotations

import logging
import sys

logger = logging.getLogger("betapack")


def notice(event: str, level: int = logging.INFO, **fields: object) -> None:
    """Write one line: the event, and its fields as ``name=value``."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", " ".join([event, *(f"{name}={_quoted(value)}" for name, value in fields.items())]))


def notices_to_stderr(level: int = logging.INFO) -> None:
    """Show betapack's notices on stderr; other libraries show warnings only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


def _quoted(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return repr(text) if " " in text or not text else text
