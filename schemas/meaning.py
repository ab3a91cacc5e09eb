"""What a message and its fields mean, read from the docstrings: the one place where it is written.

A Struct's docstring says first what the message is; its section `Attributes` has one entry for each field::

    bid : Best price at which the market buys. [quote asset per unit]

with the unit in square brackets at the end, where the field has one. What several messages of a module share stands in
the `Attributes` of the module's docstring.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass

from msgspec import Struct

_SECTION = "\n\nAttributes\n----------\n"
_ENTRY = re.compile(r"^(\w+) : (.*?)(?: \[([^]]+)\])?$")


@dataclass(frozen=True)
class Meaning:
    """What one field means, and its `unit`; empty for names, texts, flags and pure numbers."""

    text: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.text} Unit: {self.unit}." if self.unit else self.text


def what_it_is(struct: type[Struct]) -> list[str]:
    """The paragraphs that say what the message is, each on one line."""
    before, _, _ = _cleaned(struct.__doc__).partition(_SECTION)
    return [" ".join(paragraph.split()) for paragraph in before.split("\n\n")]


def field_meanings(struct: type[Struct]) -> dict[str, Meaning]:
    """The meaning of every field, in the order of the fields. Raises KeyError for a field without one."""
    own = described_fields(struct.__doc__)
    shared = described_fields(sys.modules[struct.__module__].__doc__)
    return {name: own[name] if name in own else shared[name] for name in struct.__struct_fields__}


def described_fields(docstring: str | None) -> dict[str, Meaning]:
    """The entries of the docstring's section `Attributes`, by field. Raises ValueError for an entry of another form."""
    _, _, section = _cleaned(docstring).partition(_SECTION)
    meanings = {}
    for entry in re.split(r"\n(?! )", section) if section else ():
        line = " ".join(entry.split())
        match = _ENTRY.match(line)
        if match is None:
            raise ValueError(f"an entry must read `name : meaning. [unit]`, got {line!r}")
        meanings[match[1]] = Meaning(match[2], match[3] or "")
    return meanings


def _cleaned(docstring: str | None) -> str:
    """Without indentation: Python 3.13 strips it itself, older ones do not."""
    return inspect.cleandoc(docstring or "")
