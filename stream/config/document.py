"""Write the table of every key, docs/configuration.md: ``python -m stream.config.document``."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from stream.config.checks import allowed_of, annotated
from stream.config.kafka import PASSWORD_VARIABLE
from stream.config.load import Config
from stream.config.metrics import TOKEN_VARIABLE

FILE = Path(__file__).parents[2] / "docs" / "configuration.md"

HEAD = """\
<!-- Written by `python -m stream.config.document` from the sections' classes in stream/config: change it there. -->

# Configuration

betapack reads one TOML file, which `--config` names. Unknown keys are refused, so that a typo fails at start.
`betapack check --config desk.toml` says which key is wrong, what was expected and what was found.
[deploy/desk.toml](../deploy/desk.toml) is a file to copy, and [stream/demo/demo.toml](../stream/demo/demo.toml) is that
of the demo.

`instruments[].lot` is the key `lot` of each `[[instruments]]`. The end of a key names its unit: `_s` seconds, `_ms`
milliseconds, `_steps` timesteps, `_bps` basis points. A whole section can be left out when none of its keys is
required.
"""

SECRETS = """\
## Secrets

Secrets are not in the file. They come from environment variables. No notice and no error
message of the service shows them.

| variable | meaning |
|---|---|
"""

MEANING_OF_SECRET = {
    PASSWORD_VARIABLE: "Password of `kafka.sasl_username`. Required where `kafka.security_protocol` logs in.",
    TOKEN_VARIABLE: "Token that every request to the service has to bring, scrapes included. Required where other "
    "machines can reach `metrics.host`. At least 16 characters. `betapack what-if` and `betapack frontier` send it.",
}


@dataclass(frozen=True)
class Section:
    """One section of the file: its `heading` as TOML has it, its `key` as errors have it, and its Struct."""

    heading: str
    key: str
    kind: type[Struct]


def sections(kind: type[Struct] = Config, heading: str = "", key: str = "") -> Iterator[Section]:
    """Every section below `kind`, each before those inside it."""
    for name, annotation in annotated(kind).items():
        inner, repeated = _struct_of(annotation)
        if inner is not None:
            path = f"{heading}.{name}" if heading else name
            full_key = f"{key}{name}{'[]' if repeated else ''}."
            yield Section(f"[[{path}]]" if repeated else f"[{path}]", full_key, inner)
            yield from sections(inner, path, full_key)


def meaning(annotation: Any) -> str:
    """The description in a key's annotation; empty without one."""
    if get_origin(annotation) is not Annotated:
        return ""
    return next((each.description or "" for each in annotation.__metadata__ if isinstance(each, Meta)), "")


def document() -> str:
    """The text of docs/configuration.md. The same code gives the same text."""
    found = list(sections())
    contents = [f"- [`{section.heading}`](#{_anchor(section.heading)})" for section in found]
    secrets = [f"| `{name}` | {text} |" for name, text in MEANING_OF_SECRET.items()]
    return "\n".join(
        [
            HEAD,
            *contents,
            "- [Secrets](#secrets)",
            "",
            *(_section(section) for section in found),
            SECRETS + "\n".join(secrets),
            "",
        ]
    )


def main() -> None:
    """Write the file into the project's docs."""
    FILE.write_text(document(), encoding="utf-8")
    sys.stderr.write(f"wrote {FILE.parent.name}/{FILE.name}\n")


def _section(section: Section) -> str:
    annotations = annotated(section.kind)
    rows = [
        f"| `{section.key}{field.name}` | {meaning(annotations[field.name])} | {_value(annotations[field.name])} "
        f"| {_default(field)} |"
        for field in msgspec.structs.fields(section.kind)
    ]
    return "\n".join(
        [
            f"## `{section.heading}`",
            "",
            inspect.getdoc(section.kind) or "",
            "",
            "| key | meaning | value | default |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _value(annotation: Any) -> str:
    """What a key may hold, in words: its type, then its range."""
    kind = _kind(_bare(annotation))
    ranges = [allowed.words.removeprefix("a number ") for allowed in allowed_of(annotation)]
    # Upper bounds are checked first, so that they refuse infinity. In the text they come last.
    ranges.sort(key=lambda words: words.startswith("at most"))
    return f"{kind}, {' and '.join(ranges)}" if ranges else kind


def _kind(kind: Any) -> str:
    match get_origin(kind) or kind:
        case origin if origin is Literal:
            return ", ".join(f'`"{value}"`' for value in get_args(kind))
        case origin if origin is tuple:
            inner = get_args(kind)[0]
            return f"list of {_PLURALS[inner] if inner in _PLURALS else _kind(inner)}"
        case origin if origin is dict:
            return f"table of {_PLURALS[get_args(kind)[1]]}"
        case origin if isinstance(origin, type) and issubclass(origin, Struct):
            return "sections"
        case origin:
            return _NAMES[origin]


_NAMES = {str: "text", bool: "`true` or `false`", float: "number", int: "whole number"}
_PLURALS = {str: "texts", float: "numbers", int: "whole numbers"}


def _bare(annotation: Any) -> Any:
    """The type alone, without what `Annotated` adds and without None."""
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    return kind


def _struct_of(annotation: Any) -> tuple[type[Struct] | None, bool]:
    """The Struct that a key holds, if it holds one, and whether it holds several."""
    kind = _bare(annotation)
    repeated = get_origin(kind) is tuple
    inner = get_args(kind)[0] if repeated else kind
    return (inner if isinstance(inner, type) and issubclass(inner, Struct) else None), repeated


def _default(field: msgspec.structs.FieldInfo) -> str:
    """The default of a key, as it would stand in the file."""
    if field.required:
        return "required"
    value = field.default if field.default is not NODEFAULT else field.default_factory()
    if value is None:
        return "left out"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    match value:
        case str():
            return f'"{value}"'
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value:_}" if value >= 10_000 else str(value)
        case dict():
            return "{}"
        case _:
            return f"[{', '.join(_toml(each) for each in value)}]"


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", heading.lower())


if __name__ == "__main__":
    main()
