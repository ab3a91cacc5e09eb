"""The documents: commands that work, links that lead somewhere, and a length that somebody reads."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints
from urllib.parse import parse_qs, urlsplit

import pytest

from documents import COMMANDS, DOCUMENTS, ROOT, commands_in, commands_to, parse_betapack
from schemas.inbound import Position
from schemas.outbound import Alert
from schemas.topics import TOPICS
from schemas.wire import JSON, decode
from stream.cli.main import app
from stream.config import load_config
from stream.events.encode import key_of
from stream.events.types import RefusalReason

README_WORDS_MAX = 1000
SENTENCES_MAX = 6

DEMO = ROOT / "stream" / "demo" / "demo.toml"

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def prose(text: str) -> str:
    """The text without blocks of code and without comments."""
    return re.sub(r"^```.*?^```$|<!--.*?-->", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """What a link can point at in a document, by the rule of the pages that show Markdown."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs and items of lists, each on one line. Tables and headings are none."""
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", prose(text)):
        if block.strip() and not block.lstrip().startswith(("|", "#", "!")):
            yield " ".join(block.split())


def sentences(paragraph: str) -> int:
    """How many sentences: ends that something new begins after. A bold label in front is none."""
    ended = re.sub(r"\b(?:e\.g|i\.e|ch|vs)\.", "", re.sub(r"^(?:[-*] )?\*\*[^*]+\.\*\* ", "", paragraph))
    return len(re.findall(r"[.!?:]?[.!?][)*`\"]*(?=\s+[\"(*`\[]*[A-Z0-9]|$)", ended))


# Commands


def test_every_command_is_known() -> None:
    """A command that a document shows is one of those that are run or parsed, and none of these is left over."""
    shown = {command for document in DOCUMENTS for command in commands_in(document.read_text(encoding="utf-8"))}
    assert shown == set(COMMANDS)


def test_the_readme_names_every_command() -> None:
    """Nothing that `betapack` can do is hidden."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in app if not name.startswith("-") and f"betapack {name}" not in readme] == []


@each_document
def test_every_block_says_what_it_is(document: Path) -> None:
    """A block is commands (`sh`) or a drawing (`text`), so that no command hides in a drawing."""
    fences = re.findall(r"^```(.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert set(fences[::2]) <= {"sh", "text"}
    assert not any(fences[1::2])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command: str) -> None:
    """Its program takes these arguments: options, values, targets, extras, paths, topics and messages exist."""
    program, *arguments = shlex.split(command)
    match program:
        case "betapack":
            parse_betapack(command)
        case "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            target, *variables = arguments
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make knows no {target}"
            for variable in variables:
                assert f"$({variable.partition('=')[0]})" in makefile
        case "pip":
            assert arguments[0] == "install"
            extras = re.fullmatch(r"\.(?:\[([\w,]+)\])?", arguments[1])
            assert extras
            project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            assert set(filter(None, (extras[1] or "").split(","))) <= set(project["optional-dependencies"])
        case "python":
            assert arguments[:2] == ["-m", "pytest"]
            assert all((ROOT / argument).exists() for argument in arguments[2:])
        case "curl":
            address = urlsplit(arguments[0])
            assert (address.hostname, address.port) == (
                "127.0.0.1",
                load_config(ROOT / "deploy/desk.toml").metrics.port,
            )
            assert address.path in {"/metrics", "/what-if", "/frontier"}
            assert address.path == "/metrics" or parse_qs(address.query)["book"] == ["franc"]
        case "kcat":
            assert arguments[arguments.index("-t") + 1] in {topic.name for topic in TOPICS}
        case "echo":
            payload, bar, *kcat = arguments
            assert bar == "|"
            assert kcat[kcat.index("-t") + 1] == "positions"
            position = decode(Position, payload.encode(), JSON)
            assert kcat[kcat.index("-k") + 1] == key_of(position)
            demo = load_config(DEMO)
            assert position.book in {book.name for book in demo.books}
            assert position.asset in demo.universe.assets
        case _:
            pytest.fail(f"no test knows {program}")


def test_books_and_instruments_of_requests_are_the_demos() -> None:
    """What-ifs and frontiers name the demo's book, assets and instruments: they work while it runs.

    Commands with a configuration name those of the shipped desk.toml.
    """
    for command in COMMANDS:
        words = shlex.split(command)
        demo = load_config(ROOT / "deploy" / "desk.toml" if "--config" in words else DEMO)
        for option, known in (
            ("--book", {book.name for book in demo.books}),
            ("--trade", set(demo.universe.assets)),
            ("--lots", {instrument.name for instrument in demo.instruments}),
        ):
            if option in words:
                assert words[words.index(option) + 1].partition("=")[0] in known


@pytest.mark.parametrize("command", commands_to("run"))
def test_a_command_runs(command: str, tmp_path: Path) -> None:
    """It ends with exit code 0, in a folder with a copy of the shipped desk.toml, or in the project for its tests."""
    program, *arguments = shlex.split(command)
    (tmp_path / "desk.toml").write_text((ROOT / "deploy" / "desk.toml").read_text(encoding="utf-8"))
    if program == "betapack":
        started, folder = [sys.executable, "-m", "stream.cli", *arguments], tmp_path
    else:
        started, folder = [sys.executable, *arguments, "-p", "no:cacheprovider"], ROOT
    ended = subprocess.run(started, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


# Figures and names


def test_the_operations_page_names_what_there_is() -> None:
    """Each alert and each reason of a dead letter stands on the page, and no other."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    alerts = section(page, "Alerts")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", alerts, re.MULTILINE)) == set(get_args(get_type_hints(Alert)["kind"]))
    letters = section(page, "Dead letters")
    assert set(get_args(RefusalReason)) <= set(re.findall(r"`([a-z-]+)`", letters))


def section(page: str, heading: str) -> str:
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_readmes_figures_are_the_evidences() -> None:
    """No figure in the README's table that does not stand on the evidence page or in its appendix."""
    measured = "".join(
        (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("evidence.md", "evidence/bench.md")
    )
    table = section((ROOT / "README.md").read_text(encoding="utf-8"), "Figures that matter")
    figures = re.findall(r"[\d.,]*\d", " ".join(row.split("|")[2] for row in table.splitlines() if row.startswith("|")))
    assert figures
    assert {figure for figure in figures if figure not in measured} == set()


# Links


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link names a file of the project, and its #anchor a heading there."""
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), f"{target} does not exist"
        assert linked.is_relative_to(ROOT), f"{target} leaves the project"
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), f"{target} has no such heading"


def test_the_index_names_every_document() -> None:
    """From docs/README.md one link leads to each of the others."""
    index = ROOT / "docs" / "README.md"
    links = re.findall(r"\]\(([^)#\s]+)", index.read_text(encoding="utf-8"))
    named = {(index.parent / link).resolve() for link in links}
    assert set(DOCUMENTS) - {index} <= named


# Words


def test_the_readme_is_short() -> None:
    """A stranger reads it in ten minutes."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= README_WORDS_MAX


@each_document
def test_paragraphs_are_short(document: Path) -> None:
    """No paragraph and no item of a list has more than six sentences."""
    text = document.read_text(encoding="utf-8")
    for paragraph in paragraphs(text):
        assert sentences(paragraph) <= SENTENCES_MAX, paragraph


def test_sentences_are_counted() -> None:
    """Abbreviations and numbers end no sentence; questions and quotes do."""
    assert sentences("**Label.** One. Two? (Three.) `Four` is .5 of it, e.g. this. **Five.** Six, see ch. 3.") == 6


@each_document
def test_words_have_one_meaning(document: Path) -> None:
    """A spread is of bid and ask or of a basket, an index is no place, and documents tell no history."""
    text = re.sub(r"`[^`]*`", "", prose(document.read_text(encoding="utf-8")))
    assert not re.findall(r"(?<!bid-ask )(?<!basket )\bspreads?\b", " ".join(text.split()), re.IGNORECASE)
    assert not re.findall(r"\b(?:formerly|no longer in|moved from|used to be|previously)\b", text, re.IGNORECASE)
