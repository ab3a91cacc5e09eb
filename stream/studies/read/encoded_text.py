"""The text of a file, and in which encoding it was found. Archives, workbooks and web pages are told from text."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from pathlib import Path

from stream.errors import ConfigError, DataUnavailable

# UTF-32 comes first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)

_NOT_TEXT = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive: save its sheet as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save its sheet as CSV"),
    (b"%PDF", "a PDF: export the figures as CSV"),
    (b"PAR1", "a Parquet file: write it as CSV"),
)

_GZIP = b"\x1f\x8b"


def read_text(path: Path, digest: hashlib._Hash, encoding: str | None) -> tuple[str, str]:
    """The text of a file, unpacked where it is gzip, and the words for its encoding. Its bytes go into `digest`.

    Raises
    ------
    DataUnavailable : it cannot be read, or is not text.
    ConfigError : Python knows no such `encoding`.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise DataUnavailable(f"cannot read {path}: {exc.strerror or exc}") from exc
    digest.update(content)
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as exc:
            raise DataUnavailable(f"{path} is not a CSV file: its gzip archive is torn or damaged: {exc}") from exc
    for start, what in _NOT_TEXT:
        if content.startswith(start):
            raise DataUnavailable(f"{path} is not a CSV file but {what}")
    text, found = _decoded(path, content, encoding)
    if text[:500].lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
        raise DataUnavailable(f"{path} is not a CSV file but a web page or XML; open it to see what it says")
    nul = text.find("\0")
    if nul >= 0:
        raise DataUnavailable(
            f"{path}, line {1 + text.count(chr(10), 0, nul)}: expected text, got a NUL character; the file is damaged, "
            "or is UTF-16 without a byte-order mark (then say --encoding utf-16-le)"
        )
    return text, found


def _decoded(path: Path, content: bytes, encoding: str | None) -> tuple[str, str]:
    if encoding is not None:
        try:
            text = content.decode(encoding)
        except LookupError as exc:
            raise ConfigError(f"--encoding must be one that Python knows, as cp1252, got {encoding!r}") from exc
        except UnicodeError as exc:
            raise DataUnavailable(f"{path} is not text in {encoding}, which --encoding names: {exc}") from exc
        return text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"), f"{encoding} (--encoding)"
    for mark, codec, name in _MARKS:
        if content.startswith(mark):
            try:
                return content.decode(codec), f"{name} with a byte-order mark"
            except UnicodeError as exc:
                raise DataUnavailable(f"{path} is not a CSV file: it starts as {name}, and is not: {exc}") from exc
    try:
        return content.decode("utf-8"), "ASCII" if content.isascii() else "UTF-8"
    except UnicodeError as exc:
        line = 1 + content.count(b"\n", 0, exc.start) if isinstance(exc, UnicodeDecodeError) else 1
        raise DataUnavailable(
            f"{path}, line {line}: not a CSV file in UTF-8: {exc}; name its encoding, as --encoding cp1252"
        ) from exc
