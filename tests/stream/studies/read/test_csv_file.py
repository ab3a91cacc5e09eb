"""One CSV file: lines keep their numbers, cells are read or refused, and a refusal names the line and the column."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from stream.errors import DataUnavailable
from stream.studies.read.csv_file import CsvFile, read_csv


def file_of(folder: Path, text: str, name: str = "prices.csv") -> CsvFile:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_csv(path, hashlib.sha256())


def numbers(file: CsvFile, name: str) -> list[float]:
    return file.numbers([file.layout.names.index(name)]).columns[name].tolist()


def nanoseconds(*times: tuple[int, ...]) -> list[int]:
    """Of UTC times, by the standard library."""
    return [int(datetime(*time, tzinfo=UTC).timestamp()) * 1_000_000_000 for time in times]  # type: ignore[arg-type]


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    """Blank lines are counted and left out; the others are indexed by their line in the file, the header's being 1."""
    file = file_of(tmp_path, "t , A,B\n2015-01-01,1,2\n\n,,\n2015-01-02,3,4\n")
    assert (file.time_name, file.names) == ("t", ["A", "B"])
    assert file.lines == [2, 5]
    assert file.layout.blank_lines == 2
    assert numbers(file, "B") == [2.0, 4.0]


def test_digest_is_of_the_bytes_on_disk(tmp_path: Path) -> None:
    """Files are added one after the other, a packed one as it is packed; its cells are those of the plain file."""
    text = "t,A\n2015-01-01,1\n2015-01-02,2\n"
    plain, packed = tmp_path / "prices.csv", tmp_path / "prices.csv.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    digest = hashlib.sha256()
    first, second = read_csv(plain, digest), read_csv(packed, digest)
    assert digest.hexdigest() == hashlib.sha256(plain.read_bytes() + packed.read_bytes()).hexdigest()
    assert first.columns == second.columns


@pytest.mark.parametrize(
    ("cells", "times"),
    [
        (("2015-01-30", "2015-01-30 17:05"), ((2015, 1, 30), (2015, 1, 30, 17, 5))),
        (("2015-01-30T02:00:00+02:00", "2015-01-30T01:00:00Z"), ((2015, 1, 30), (2015, 1, 30, 1))),
        (("3/4/2015 09:30", "13/4/2015 09:30"), ((2015, 4, 3, 9, 30), (2015, 4, 13, 9, 30))),
        (("3/4/2015 09:30:15", "3/13/2015 09:30:15"), ((2015, 3, 4, 9, 30, 15), (2015, 3, 13, 9, 30, 15))),
        (("31.01.2015", "01.02.2015"), ((2015, 1, 31), (2015, 2, 1))),
        (("20150130", "20150201"), ((2015, 1, 30), (2015, 2, 1))),
        (("1422576000", "1422576001"), ((2015, 1, 30), (2015, 1, 30, 0, 0, 1))),
        (("1422576000000000", "1422576001000000"), ((2015, 1, 30), (2015, 1, 30, 0, 0, 1))),
    ],
)
def test_times(tmp_path: Path, cells: tuple[str, str], times: tuple[tuple[int, ...], ...]) -> None:
    """Dates and times of every form, with and without a zone, and counts from seconds to nanoseconds."""
    file = file_of(tmp_path, "t,A\n" + "".join(f"{cell},1\n" for cell in cells))
    assert file.times().ns.tolist() == nanoseconds(*times)


def test_nanoseconds_are_exact(tmp_path: Path) -> None:
    """A count of nanoseconds has more digits than a float holds; none is lost."""
    exact = (1422576000123456789, 1422576000123456790)
    assert file_of(tmp_path, f"t,A\n{exact[0]},1\n{exact[1]},1\n").times().ns.tolist() == list(exact)


def test_numbers_may_be_anything_but_infinite(tmp_path: Path) -> None:
    """What a number means is for the caller: positions are negative or zero, and thousands may be grouped."""
    file = file_of(tmp_path, "t,A\n2015-01-01,-1250000\n2015-01-02,0\n2015-01-03,+7.5\n")
    assert numbers(file, "A") == [-1_250_000.0, 0.0, 7.5]
    grouped = file_of(tmp_path, "t;A\n2015-01-01;-1'250'000.5\n2015-01-02;0\n", "grouped.csv")
    assert numbers(grouped, "A") == [-1_250_000.5, 0.0]


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan", "NULL", "None", "n/a", "-", "#N/A"])
def test_what_says_that_there_is_no_number(tmp_path: Path, cell: str) -> None:
    """It is NaN, in whatever case; a number around it is read."""
    file = file_of(tmp_path, f"t,A\n2015-01-01,{cell}\n2015-01-02, 1.5e3 \n")
    np.testing.assert_array_equal(numbers(file, "A"), [np.nan, 1500.0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,A\n2015-01-01,1\n\n2015-01-02,1 00\n", "line 4, column A: expected a price or an empty cell"),
        ("t,A\n2015-01-01,1\n\nsoon,2\n", "line 4, column t: expected a time or date as the other lines have, got 's"),
        ("t,A\n2015-01-01,1\n,2\n", "line 3, column t: expected a time or date as the other lines have, got ''"),
        ("t,A\n1/2/2015,1\n2015-01-03,2\n", "line 3, column t: expected a time or date as the other lines have"),
        ("t,A,A\n2015-01-01,1,2\n", "line 1, column 3: expected a name of its own, got 'A'"),
        ("t,,A\n2015-01-01,1,2\n", "line 1, column 2: expected a name of its own, got ''"),
        ("t,A\n2015-01-01,1,2\n", "line 2: expected 2 cells between commas as in the header, got 3"),
        ("", "is empty: it must have a header"),
        ("t,A\n", "got 1 lines of 2 columns"),
    ],
)
def test_refusals_say_where(tmp_path: Path, text: str, said: str) -> None:
    """The file, the line, the column, what was expected and what came. Blank lines count as lines."""

    def read() -> None:
        file = file_of(tmp_path, text)
        file.times()
        numbers(file, "A")

    with pytest.raises(DataUnavailable) as raised:
        read()
    assert said in str(raised.value)
    assert str(tmp_path / "prices.csv") in str(raised.value)


def test_what_is_no_text(tmp_path: Path) -> None:
    """A missing file, bytes that are not UTF-8 and a torn archive are typed errors that name the file."""
    latin, torn = tmp_path / "latin.csv", tmp_path / "torn.csv.gz"
    latin.write_bytes("t,A\n2015-01-01,é\n".encode("latin-1"))
    torn.write_bytes(gzip.compress(b"t,A\n" * 1000)[:20])
    for path, said in ((tmp_path / "none.csv", "cannot read"), (latin, "not a CSV file"), (torn, "not a CSV file")):
        with pytest.raises(DataUnavailable, match=said) as raised:
            read_csv(path, hashlib.sha256())
        assert str(path) in str(raised.value)
