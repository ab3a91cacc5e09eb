"""One HTTP connection: how much it may send, how long it may take, and which one makes room for another.

uvicorn bounds neither the header nor the time of a request, and counts idle connections like those that wait for an
answer. Whoever can reach the port could fill its memory, or keep everyone else out, without a token.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

CONNECTIONS_MAX = 256

UNANSWERED_BYTES_MAX = 64 * 1024
"""What a connection may send before its answer is complete. A what-if about a thousand instruments takes half of it."""

PIPELINED_MAX = 4
"""Requests that may wait behind the one that is being answered. Each takes some kilobytes."""

REQUEST_TIMEOUT_S = 5.0
"""From the connection, or from its last answer, until the header of the next request is complete."""

ANSWER_TIMEOUT_S = 30.0
"""From then until the answer is sent. The slowest answer waits for two frontiers of a second, or 5 s for metrics."""


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection with bounds. Give it to ``uvicorn.Config(http=...)`` with `LIMIT_CONCURRENCY`.

    When all connections are taken, a new one closes the oldest that waits for a request of its client. Those that were
    never answered go first; an answer that refuses the token ends its connection anyway. Where all are being answered,
    the request of the new one is answered with 503.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unanswered_bytes = 0
        self._answers = 0
        self._idle_since_s = 0.0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_request()
        if len(self.connections) > CONNECTIONS_MAX:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unanswered_bytes += len(data)
        if self._unanswered_bytes > UNANSWERED_BYTES_MAX:
            # Not parsed: the parser keeps every header line until the last one has come.
            self.transport.write(STATUS_LINE[431] + b"content-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()
        elif not self.transport.is_closing():
            super().data_received(data)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= PIPELINED_MAX:
            raise httptools.HttpParserError("more requests than may wait")  # answered with 400, and closed
        super().on_headers_complete()
        self._set_deadline(ANSWER_TIMEOUT_S)

    def on_response_complete(self) -> None:
        self._answers += 1
        self._unanswered_bytes = 0
        more = bool(self.pipeline)
        super().on_response_complete()
        if more:
            self._set_deadline(ANSWER_TIMEOUT_S)
        else:
            self._wait_for_request()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_request(self) -> None:
        self._idle_since_s = self.loop.time()
        # Bytes that come meanwhile do not move it. uvicorn's own time-out starts anew with each of them.
        self._set_deadline(REQUEST_TIMEOUT_S)

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        # Not closed but cut: who does not read its answer would keep a closing connection open.
        self.transport.abort()
        self.connections.discard(self)

    def _make_room(self) -> None:
        others = [other for other in self.connections if isinstance(other, BoundedConnection) and other is not self]
        idle = [other for other in others if other._is_idle]
        if idle:
            min(idle, key=lambda other: (other._answers > 0, other._idle_since_s))._give_up()


LIMIT_CONCURRENCY = CONNECTIONS_MAX + 1
"""Reached only while the connections that are being answered take all the room."""
