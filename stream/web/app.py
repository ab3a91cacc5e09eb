"""The web application: `/metrics`, `/what-if` and `/frontier`, GET only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.answers import Refusal
from stream.clock import Clock
from stream.config import Config
from stream.errors import NoAnswer
from stream.telemetry.metrics import SECONDS_BUCKETS
from stream.web.access import BearerToken, host_names
from stream.web.questions import Questions
from stream.web.request import Query, Requests, UnknownBook, WrongRequest
from stream.web.views import View

WAITING_MAX = 32
"""How many questions may wait for those before them, some 30 ms in all. The next one is refused as busy."""

FRONTIERS_WAITING_MAX = 2
FRONTIER_DEADLINE_MS = 1000.0
"""For all points together. Only the one who asked waits for a frontier, so it may take longer than a what-if."""

SCRAPE_AGE_S = 0.25
"""Scrapes within this time share one text, for each text costs the service a few milliseconds."""


class Busy(Exception):
    """As many requests wait as may wait."""


class Turns:
    """Lets one request at a time through, and at most `waiting_max` others wait."""

    def __init__(self, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._waiting = 0
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A turn, for ``async with``. Raises Busy when too many wait already."""
        if self._waiting > self._waiting_max:
            raise Busy
        self._waiting += 1
        try:
            async with self._turn:
                # Requests that came meanwhile are counted, and scrapes answered, before this one is computed.
                await asyncio.sleep(0)
                yield
        finally:
            self._waiting -= 1


class Answers:
    """The endpoints of one configuration, on what `view` shows.

    `scrape` returns the service's own metrics as text, or None when the service does not answer. It may block.
    """

    def __init__(self, config: Config, view: View, scrape: Callable[[], bytes | None], clock: Clock) -> None:
        self._requests = Requests(config)
        self._questions = Questions(config, view, clock)
        patient = msgspec.structs.replace(config.solver, deadline_ms=FRONTIER_DEADLINE_MS)
        # Frontiers run in a thread, and `Questions` is not for two threads at once.
        self._frontiers = Questions(msgspec.structs.replace(config, solver=patient), view, clock)
        self._turns = Turns(WAITING_MAX)
        self._frontier_turns = Turns(FRONTIERS_WAITING_MAX)
        self._scrape = scrape
        self._scraping = asyncio.Lock()
        self._scraped: tuple[float, bytes] | None = None
        self._registry = CollectorRegistry()
        self._answered = Counter(
            "betapack_web_answers", "Answers to questions.", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "betapack_web_answer_seconds",
            "Time to answer a question, with its wait.",
            ("path",),
            registry=self._registry,
            buckets=SECONDS_BUCKETS,
        )

    async def what_if(self, request: Request) -> Response:
        """What would be published with a hypothetical trade."""
        return await self._answer(request, self._what_if)

    async def frontier(self, request: Request) -> Response:
        """What each level of risk costs a book."""
        return await self._answer(request, self._frontier)

    async def metrics(self, request: Request) -> Response:
        """The service's metrics and those of this process, in the text format of Prometheus."""
        async with self._scraping:
            now_s = asyncio.get_running_loop().time()
            if self._scraped is None or now_s - self._scraped[0] > SCRAPE_AGE_S:
                text = await asyncio.to_thread(self._scrape)
                if text is None:
                    return _json(503, Refusal(error="no-answer", message="the service does not tell its metrics"))
                self._scraped = now_s, text
            text = self._scraped[1]
        return Response(text + generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def _what_if(self, query: Query) -> msgspec.Struct:
        book, trade = self._requests.what_if(query)
        async with self._turns.one():
            return self._questions.what_if(book, trade)

    async def _frontier(self, query: Query) -> msgspec.Struct:
        book, points = self._requests.frontier(query)
        async with self._frontier_turns.one():
            # It can take a second. What-ifs and scrapes go on meanwhile.
            return await asyncio.to_thread(self._frontiers.frontier, book, points)

    async def _answer(self, request: Request, answer: Callable[[Query], Awaitable[msgspec.Struct]]) -> Response:
        # From the scope: the request's own `url` and `query_params` take as long as everything else around the answer.
        path: str = request.scope["path"]
        query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        with self._seconds.labels(path).time():
            try:
                response = _json(200, await answer(query))
            except WrongRequest as exc:
                refusal = Refusal(
                    error="unknown-book" if isinstance(exc, UnknownBook) else "wrong-request",
                    message=str(exc),
                    key=exc.key,
                    expected=exc.expected,
                    got=exc.got,
                )
                response = _json(exc.status, refusal)
            except NoAnswer as exc:
                response = _json(503, Refusal(error="no-answer", message=str(exc)))
            except Busy:
                refusal = Refusal(error="busy", message="too many requests wait: ask again in a second")
                response = _json(503, refusal, {"Retry-After": "1"})
        self._answered.labels(path, response.status_code).inc()
        return response


def application(config: Config, view: View, scrape: Callable[[], bytes | None], clock: Clock, token: str) -> Starlette:
    """All routes, behind the checks of token and host name.

    There are no CORS headers, so no page of another site can read an answer.

    Parameters
    ----------
    config : of the service.
    view : the latest that is known of its market and books.
    scrape : the metrics as Prometheus reads them; None while the service does not answer.
    clock : stops a solve at `solver.deadline_ms`.
    token : that every request has to bring; empty for none.
    """
    answers = Answers(config, view, scrape, clock)
    return Starlette(
        routes=[
            # In the order in which they are tried.
            Route("/what-if", answers.what_if, methods=["GET"]),
            Route("/frontier", answers.frontier, methods=["GET"]),
            Route("/metrics", answers.metrics, methods=["GET"]),
        ],
        middleware=[
            # The token first: whoever has none gets no other answer than the one that closes its connection.
            Middleware(BearerToken, token=token),
            Middleware(TrustedHostMiddleware, allowed_hosts=host_names(config.metrics), www_redirect=False),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


async def _refused(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    expected = "a GET of /metrics, /what-if or /frontier"
    got = f"{request.method} {request.url.path}"
    refusal = Refusal(error="not-found", message=f"expected {expected}, got {got}", expected=expected, got=got)
    return _json(exc.status_code, refusal, dict(exc.headers or {}))


async def _failed(request: Request, exc: Exception) -> Response:
    return _json(500, Refusal(error="failed", message=f"a bug of ours: {type(exc).__name__}; see the service's stderr"))


def _json(status: int, message: msgspec.Struct, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(message), status, headers, "application/json")
