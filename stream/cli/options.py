"""Options that several commands take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from stream.config import Config
    from stream.studies.read.options import ReadOptions

ConfigPath = Annotated[Path, Parameter(name="--config", help="TOML file that configures the service.")]
Bootstrap = Annotated[
    str | None, Parameter(name="--bootstrap", help="Kafka's host:port, in place of kafka.bootstrap in the file.")
]
OwnKafka = Annotated[
    str | None, Parameter(help="A Kafka that is already there, host:port; by default one is started from pip.")
]


@Parameter(name="*", group="What a file of prices leaves open")
@dataclass(frozen=True)
class PriceFileOptions:
    """What the user says of files of prices, the same in every command that reads them."""

    separator: Annotated[str | None, Parameter(help="Separator of cells: a character, or `tab`.")] = None
    decimal: Annotated[Literal[".", ","] | None, Parameter(help="Sign of decimals.")] = None
    thousands: Annotated[Literal[".", ",", "'", "space"] | None, Parameter(help="Separator of thousands.")] = None
    encoding: Annotated[str | None, Parameter(help="Encoding of the text, as `cp1252`; by default UTF-8.")] = None
    header: Annotated[bool | None, Parameter(help="Whether line 1 names the columns.")] = None
    header_line: Annotated[
        int | None, Parameter(help="The line that names the columns; lines above it are passed over.")
    ] = None
    date_order: Annotated[
        Literal["dmy", "mdy", "ymd"] | None, Parameter(help="Order of day, month and year in dates such as 03/04/2015.")
    ] = None
    time_unit: Annotated[
        Literal["s", "ms", "us", "ns", "excel"] | None,
        Parameter(help="Unit of times that are numbers: counted since 1970, or day numbers of Excel."),
    ] = None
    zone: Annotated[
        str | None, Parameter(help="Zone of times that name none, as `Europe/Zurich`. Daily bars get its dates.")
    ] = None
    time_column: Annotated[str | None, Parameter(help="Name of the column of times; by default the first.")] = None
    price_column: Annotated[
        str | None, Parameter(help="Name of the price in files of one asset; by default `close`.")
    ] = None

    def settled(self) -> ReadOptions:
        """The same for the reader."""
        from stream.studies.read.options import ReadOptions

        return ReadOptions(**asdict(self))


FILES_AS_THEY_ARE = PriceFileOptions()
"""Nothing is said of the files."""


def positive(kind: object, value: float | None) -> None:
    """A validator for options that must be > 0 where they are given."""
    if value is not None and not value > 0:
        raise ValueError(f"must be > 0, got {value}")


def time_ns_of(option: str, text: str) -> int:
    """Nanoseconds since 1970, UTC, from an ISO 8601 time with its zone, or from the number itself."""
    from datetime import UTC, datetime, timedelta

    from stream.errors import ConfigError

    if text.isdecimal():
        return int(text)
    expected = (
        f"{option} must be a time with its zone, as 2025-06-02T08:00:00Z, or nanoseconds since 1970, got {text!r}"
    )
    try:
        time = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(expected) from exc
    if time.tzinfo is None:
        raise ConfigError(f"{expected}, which has no zone")
    # Whole numbers: a float of seconds is exact to a quarter of a microsecond only.
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def loaded_config(path: Path, bootstrap: str | None = None) -> Config:
    """The checked configuration in the file, with `bootstrap` in place of its own where it is given."""
    import msgspec

    from stream.config import load_config

    config = load_config(path)
    if bootstrap:
        config = msgspec.structs.replace(config, kafka=msgspec.structs.replace(config.kafka, bootstrap=bootstrap))
    return config
