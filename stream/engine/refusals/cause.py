"""Why records of a topic are refused, in the words that an alert has for it."""

from __future__ import annotations

from schemas.wire import CONTENT_TYPES
from stream.config import Config
from stream.engine.refusals.likely_name import LikelyNames, likely_names
from stream.engine.refusals.state import KindOfRefusal, NameCounts
from stream.events.outside_text import bounded

NAMES_SHOWN = 3
DETAIL_CHARACTERS_MAX = 300


class Causes:
    """Names the likely cause of refusals under one configuration."""

    def __init__(self, config: Config) -> None:
        universe = config.universe
        self._known = {
            "unknown-instrument": tuple(instrument.name for instrument in config.instruments),
            "unknown-universe": (universe.name,),
            "unknown-book": tuple(book.name for book in config.books),
            "unknown-asset": (*universe.assets, universe.numeraire),
        }

    def likely_cause(self, kind: KindOfRefusal, names: NameCounts) -> str:
        """What is probably wrong with records of this kind, which are about `names`."""
        if kind.unit:
            return f"event times look like {kind.unit} since 1970, expected nanoseconds"
        if kind.reason in self._known:
            return self._unknown(names, self._known[kind.reason])
        if kind.reason == "content-type":
            expected = " or ".join(CONTENT_TYPES)
            return (
                f"content type {_shown(names)} is not read: expected {expected}; "
                "a charset, if there is one, must be utf-8"
            )
        of_names = f"{_shown(names)}: " if names.counts else ""
        return f"{of_names}{bounded(kind.detail, DETAIL_CHARACTERS_MAX)}"

    def _unknown(self, names: NameCounts, known: tuple[str, ...]) -> str:
        meant: dict[str, None] = {}
        inverted = []
        for name in _most_frequent(names):
            # In quotes, and with control characters escaped. Neither makes a difference to what is likely.
            likely = likely_names(name, known)
            if likely.inverted:
                inverted.append(f"{name} is {_either(likely)} the other way round: quote {_either(likely)}")
            else:
                meant.update(dict.fromkeys(likely.names))
        hints = [f"did you mean {', '.join(meant)}"] if meant else []
        return "; ".join([_shown(names), *hints, *inverted])


def _either(likely: LikelyNames) -> str:
    return " or ".join(likely.names)


def _most_frequent(names: NameCounts) -> list[str]:
    """The names with the highest counts, of equal ones the first seen."""
    return sorted(names.counts, key=lambda name: -names.counts[name])[:NAMES_SHOWN]


def _shown(names: NameCounts) -> str:
    """The most frequent names with their counts, and how many occurrences of others there are."""
    shown = _most_frequent(names)
    others = names.others + sum(names.counts.values()) - sum(names.counts[name] for name in shown)
    texts = [f"{name} ({names.counts[name]:,})" for name in shown]
    if others:
        texts.append(f"others ({others:,})")
    return ", ".join(texts)
