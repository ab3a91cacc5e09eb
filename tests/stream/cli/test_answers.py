"""What the commands make of an answer, and of a service that gives none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import msgspec
import pytest

from message_samples import SAMPLES
from schemas.answers import Frontier, FrontierPoint, Refusal, WhatIf
from schemas.outbound import HedgeSuggestion, ResidualExposure
from stream.cli.client import ask
from stream.cli.frontier_table import ask_frontier, html, text, write_frontier
from stream.cli.what_if_table import ask_what_if
from stream.cli.what_if_table import text as what_if_text
from stream.config.metrics import TOKEN_VARIABLE
from stream.errors import BetapackError, ConfigError, ServiceUnavailable

(RESIDUAL,) = (sample for sample in SAMPLES if isinstance(sample, ResidualExposure))
(SUGGESTION,) = (
    # A reason names books, whose names come from outside: the page must escape it.
    msgspec.structs.replace(sample, reason=f"{sample.reason}: <b>unhedged</b>")
    for sample in SAMPLES
    if isinstance(sample, HedgeSuggestion)
)
FRONTIER = Frontier(
    id="frontier/spot/1/1/what-if()",
    book="spot <desk>",
    event_time_ns=1,
    timestep=1,
    model_version=1,
    numeraire="USD",
    limit=900.0,
    limit_on="timestep",
    horizon_steps=10,
    risk_now=1300.0,
    points=(
        FrontierPoint(target=1300.0, risk=1300.0, cost=0.0, cost_lower_bound=0.0, proven=True),
        FrontierPoint(
            target=700.0, risk=690.0, cost=90.0, cost_lower_bound=80.0, proven=False, trades=SUGGESTION.trades
        ),
    ),
    suggestion=SUGGESTION,
)
WHAT_IF = WhatIf(
    id="what-if/desk-zürich/28407421/412/what-if(EUR=5e6)",
    book="desk-zürich",
    trade={"EUR": 5e6},
    residual=msgspec.structs.replace(RESIDUAL, trigger="what-if"),
    suggestion=SUGGESTION,
)

Serve = Callable[[int, bytes], str]


@pytest.fixture
def asked() -> list[tuple[str, str | None]]:
    """Paths that were asked for, each with its token."""
    return []


@pytest.fixture
def serve(asked: list[tuple[str, str | None]]) -> Iterator[Serve]:
    """Starts something that answers everything alike; returns its address."""
    running: list[HTTPServer] = []

    def start(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers.get("Authorization")))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_the_table_marks_a_book_whose_positions_are_not_all_known() -> None:
    """Reason first, an unknown share of the limit, and no word that nothing has to be traded."""
    reason = "positions[1]@17 was refused: content-type"
    marked = msgspec.structs.replace(
        WHAT_IF.residual, status="incomplete", detail=reason, incomplete=(reason,), limit_share=None
    )
    shown = what_if_text(msgspec.structs.replace(WHAT_IF, residual=marked, suggestion=None)).splitlines()
    assert shown[1] == f"incomplete: {reason}"
    assert any("unknown share of 750" in line for line in shown)
    assert any("nothing: positions may be missing" in line for line in shown)


def test_the_question_and_its_answer(
    serve: Serve, asked: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trades and lots stand in the query in the order given, the token in its header, and the answer is the message."""
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret")
    url = serve(200, msgspec.json.encode(WHAT_IF))
    assert ask_what_if(url + "/", "spot", ("EUR=5e6", "CHF=-2e6"), ("EURUSD=-3",)) == WHAT_IF
    assert asked == [("/what-if?book=spot&EUR=5e6&CHF=-2e6&instrument=EURUSD&lots=-3", "Bearer s3cret")]
    assert ask_frontier(serve(200, msgspec.json.encode(FRONTIER)), "spot", 7) == FRONTIER
    assert asked[-1][0] == "/frontier?book=spot&points=7"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(400, ConfigError, 2), (404, ConfigError, 2), (401, ServiceUnavailable, 3), (503, ServiceUnavailable, 3)],
)
def test_a_refusal_says_why(serve: Serve, status: int, kind: type[BetapackError], code: int) -> None:
    """The service's own words; what is wrong with the question exits with 2, what is missing for an answer with 3."""
    url = serve(status, msgspec.json.encode(Refusal(error="failed", message="because of this")))
    with pytest.raises(kind, match="because of this") as refused:
        ask(url, "/what-if", [], WhatIf)
    assert refused.value.exit_code == code


def test_what_is_no_service_is_said_to_be_none(serve: Serve) -> None:
    """Another program at the address, or an error that is none of ours."""
    with pytest.raises(ServiceUnavailable, match="no betapack of this version"):
        ask(serve(200, b"<html>"), "/what-if", [], WhatIf)
    with pytest.raises(ServiceUnavailable, match="has no answer: oops"):
        ask(serve(500, b"oops"), "/what-if", [], WhatIf)
    with pytest.raises(ServiceUnavailable, match=r"no service answers at http://127\.0\.0\.1:1"):
        ask("http://127.0.0.1:1", "/what-if", [], WhatIf)
    with pytest.raises(ConfigError, match="--url must be"):
        ask("file:///etc/passwd", "/what-if", [], WhatIf)


def test_the_tables_say_what_the_messages_say() -> None:
    """Risk, share of the limit, trades with their venue, cost and what is not proven."""
    complete = msgspec.structs.replace(WHAT_IF.residual, incomplete=(), suspect_assets=())
    whole = msgspec.structs.replace(WHAT_IF, residual=complete)
    shown = what_if_text(whole)
    for part in (
        "+5,000,000 EUR",
        "843",
        "760  101% of 750",
        "sell 18 EURUSD@ecn-1",
        "risk 594 for 72.00",
        "proven best",
    ):
        assert part in shown
    inside = msgspec.structs.replace(whole, suggestion=None)
    assert "nothing: inside the limit" in what_if_text(inside)
    rows = text(FRONTIER).splitlines()
    assert len(rows) == 5
    assert re.search(r"690 +77% +90\.00 +best found, at least 80\.00 +sell 18 EURUSD@ecn-1", rows[3])
    assert "suggested: sell 18 EURUSD@ecn-1: risk 594 for 72.00" in rows[4]


def test_a_frontier_on_doubtful_input_says_so_first() -> None:
    """On the table and on the page, in words; one of a book that is complete says nothing."""
    doubtful = msgspec.structs.replace(FRONTIER, status="incomplete", detail="a level was refused")
    assert text(doubtful).splitlines()[1] == "incomplete: a level was refused"
    assert "incomplete: a level was refused" in html(doubtful)
    assert "incomplete" not in text(FRONTIER) + html(FRONTIER)


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """One file: no address but that of SVG's own names, no style that its policy refuses, every text escaped.

    The plot has the points, the limit and the suggestion.
    """
    path = tmp_path / "frontier.html"
    write_frontier(FRONTIER, path)
    page = path.read_text()
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "default-src 'none'" in page
    body = page[page.index("<body>") :]
    assert " style=" not in body
    assert "<style" not in body
    assert "<desk>" not in page
    assert "spot &lt;desk&gt;" in page
    assert "&lt;b&gt;unhedged" in page
    svg = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    words = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"limit", "suggested", "cheapest found"} <= set(words)
    assert html(FRONTIER) == page


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """With the flag to use."""
    with pytest.raises(ConfigError, match=r"the frontier .* name another file with --output"):
        write_frontier(FRONTIER, tmp_path / "none" / "frontier.html")
