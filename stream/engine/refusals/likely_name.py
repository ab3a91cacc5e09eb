"""Which configured name an unknown one probably means: the same instrument is written in many ways."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from unicodedata import normalize

CANDIDATES_MAX = 3
"""Two venues quote one pair under two names. More than these would not help."""

CLOSE = 0.85
"""How alike two names must be, as the ratio of difflib. Two pairs of one currency, as USDCHF and USDCAD, have 0.67,
XAUUSD and AUDUSD 0.83."""

COMPARED_CHARACTERS_MAX = 40
TOKENS_MAX = 6
"""A name with more parts, or a longer one, is no name of an instrument. The bounds keep a hostile one cheap."""


@dataclass(frozen=True)
class LikelyNames:
    """The configured names that an unknown one probably means. With `inverted` they quote the same pair the other way
    round."""

    names: tuple[str, ...] = ()
    inverted: bool = False


def likely_names(unknown: str, known: Collection[str]) -> LikelyNames:
    """What `unknown` probably means among the names `known`: none, one, or one for each venue.

    In this order: the same letters and digits (``EUR/USD``, ``eurusd``, ``EURUSD=X``, ``FX:EUR_USD.LD4`` for
    ``EURUSD``); the same pair the other way round (``USDEUR``, ``USD/EUR``); a name with a slip of the finger.

    Compares with every known name, some 30 ms for a thousand: for an alert that is raised, not for each record.
    """
    spelled = {name: _spellings(_tokens(name)) for name in known}
    tokens = _tokens(unknown)
    for spelling in _spellings(tokens):
        found = tuple(name for name, spellings in spelled.items() if spelling in spellings)
        if found:
            return LikelyNames(found[:CANDIDATES_MAX])
    for spelling in _swapped(tokens):
        found = tuple(name for name, spellings in spelled.items() if spelling in spellings)
        if found:
            return LikelyNames(found[:CANDIDATES_MAX], inverted=True)
    whole = "".join(tokens)
    if not whole or len(whole) > COMPARED_CHARACTERS_MAX:
        return LikelyNames()
    joined: dict[str, str] = {}
    for name in known:
        joined.setdefault("".join(_tokens(name)), name)
    slip = next((name for letters, name in joined.items() if _transposed(whole, letters)), None)
    close = [slip] if slip else [joined[each] for each in get_close_matches(whole, joined, n=1, cutoff=CLOSE)]
    return LikelyNames(tuple(close))


def _tokens(name: str) -> list[str]:
    """Letters and digits of the name in lower case, where anything else separates."""
    return [token for token in re.split(r"[\W_]+", normalize("NFKC", name).casefold()) if token]


def _spellings(tokens: list[str]) -> list[str]:
    """Joins of neighbouring tokens, the longest first. What is left over is a venue, a prefix or a suffix.

    A single token counts only where it is as long as a pair: ``EUR`` in ``EUR/USD`` is not the asset's name.
    """
    if not 0 < len(tokens) <= TOKENS_MAX:
        return []
    lengths = range(len(tokens), 0, -1)
    joins = ["".join(tokens[start : start + n]) for n in lengths for start in range(len(tokens) - n + 1)]
    return [join for join in joins if join == "".join(tokens) or len(join) >= 6]


def _swapped(tokens: list[str]) -> list[str]:
    """The two halves of each pair in the name, the other way round."""
    if len(tokens) > TOKENS_MAX:
        return []
    pairs = list(pairwise(tokens))
    halves = [
        (each[: len(each) // 2], each[len(each) // 2 :]) for each in tokens if len(each) >= 6 and not len(each) % 2
    ]
    return [second + first for first, second in pairs + halves]


def _transposed(one: str, other: str) -> bool:
    """Whether two neighbouring letters changed places."""
    if len(one) != len(other) or one == other:
        return False
    wrong = [index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(wrong) != 2 or wrong[1] != wrong[0] + 1:
        return False
    return one[wrong[0]] == other[wrong[1]] and one[wrong[1]] == other[wrong[0]]
