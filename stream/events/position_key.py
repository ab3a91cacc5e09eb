"""The keys of the records of `positions`. The message says what a record means; its key, what compaction keeps.

Under ``["franc","EUR"]`` a compacted topic keeps the latest level of each book and asset. Names may hold any character,
so the key is a JSON array: no separator can be a part of a name.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from stream.events.outside_text import CHARACTERS_MAX

_KEY_BYTES_MAX = 4 * CHARACTERS_MAX
"""A longer key names nothing: names of books that nobody knows are kept."""

_decoder = msgspec.json.Decoder(list[str])


class KeyedBy(NamedTuple):
    """What a key names: a book, and an asset where it names one. None: it does not tell."""

    book: str | None
    asset: str | None


def level_key(book: str, asset: str) -> str:
    """The key of a level."""
    return msgspec.json.encode((book, asset)).decode()


def complete_key(book: str) -> str:
    """The key of the statement that a book is complete: another one than any level has, so it replaces none."""
    return msgspec.json.encode((book,)).decode()


def keyed_by(key: bytes | None) -> KeyedBy:
    """What `key` names: as ``["franc","EUR"]``, ``["franc"]``, or the name of a book alone, as ``franc``."""
    if not key or len(key) > _KEY_BYTES_MAX:
        return KeyedBy(None, None)
    try:
        match _decoder.decode(key):
            case [book, asset]:
                return KeyedBy(book, asset)
            case [book]:
                return KeyedBy(book, None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return KeyedBy(key.decode(), None)
    except UnicodeDecodeError:
        return KeyedBy(None, None)


def names_level(key: bytes | None, book: str, asset: str) -> bool:
    """Whether `key` names book and asset, so that compaction keeps this level beside those of other assets.

    Any form counts that holds both names, as ``franc/EUR``: two levels of one such key are of one asset.
    """
    if key is None or len(key) > _KEY_BYTES_MAX:
        return False
    if keyed_by(key) == (book, asset):
        return True
    text = key.decode("utf-8", "replace")
    return book in text and asset in text.replace(book, "", 1)
