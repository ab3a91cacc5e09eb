"""Text that came from outside, as our own messages show it: never longer than it helps a person."""

from __future__ import annotations

import hashlib

CHARACTERS_MAX = 200
"""A name that is longer is nobody's name."""


def quoted(name: str) -> str:
    """`name` in quotes, with control characters escaped. A long one is cut as by `bounded`."""
    if len(name) <= CHARACTERS_MAX:
        return repr(name)
    return repr(name[:CHARACTERS_MAX]) + _cut_from(name)


def bounded(text: str, characters_max: int = 5 * CHARACTERS_MAX) -> str:
    """`text`, or its first `characters_max` characters and how long the whole is, with its hash.

    Half of a surrogate pair, which JSON can spell and UTF-8 cannot, becomes a question mark: no message could hold it.
    """
    shown = text if len(text) <= characters_max else text[:characters_max] + _cut_from(text)
    return shown if shown.isascii() else shown.encode("utf-8", "replace").decode("utf-8")


def _cut_from(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"… (of {len(text)} characters with sha256 {digest})"
