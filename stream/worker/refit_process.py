"""Refits in a process of their own, so that no timestep waits for the interpreter's lock while a refit runs.

A refit is hundreds of small array operations. A thread would hold the lock during these: with refits by every method
the slowest hundredth of the positions took twice as long through Kafka (docs/evidence.md has the figures).

The child is spawned, not forked: a fork would copy Kafka's sockets, and locks that other threads hold. The child ends
when this process ends, for whatever reason, and ignores the terminal's Ctrl-C.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType

from solver.reversion.refits.refit import Refit, Refitter
from solver.reversion.refits.settings import ReversionSettings
from solver.warm import warm_refits
from stream.engine.market.refits import RefitRequest, attempt
from stream.errors import RefitFailed

TIMEOUT_S = 60.0
"""A refit of thirty assets by every method takes less than a second, so one that takes this long hangs."""


class RefitProcess:
    """A child process that runs refits, one at a time in the order of `submit`.

    A child that dies is replaced, and its refit is tried once more: the machine may have killed it, for example for its
    memory. Use it as a context manager: entering waits until the child is ready, leaving ends the child.

    Parameters
    ----------
    names : of the assets.
    settings : of the refits, see `Refitter`.
    observe : called with the seconds that each refit took, from a thread of its own.
    timeout_s : a refit that takes longer fails, and the child is replaced.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        settings: ReversionSettings,
        observe: Callable[[float], None] = lambda seconds: None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._arguments = (names, settings)
        self._observe = observe
        self._timeout_s = timeout_s
        # Sends requests and waits for answers. It holds the interpreter's lock only while it pickles.
        self._thread = ThreadPoolExecutor(1, "refit")
        self._lock = threading.Lock()
        self._closed = False
        self._start()

    def __enter__(self) -> RefitProcess:
        try:
            self._connection.recv()
        except EOFError as exc:
            raise RefitFailed("the process for refits ended before it was ready; see the output above") from exc
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            self._process.kill()
        # The thread sees that the child has ended. Only then is the connection closed.
        self._thread.shutdown(cancel_futures=True)
        self._end()

    @property
    def pid(self) -> int | None:
        """The process id of the child."""
        return self._process.pid

    def submit(self, request: RefitRequest) -> Future[Refit]:
        """Start a refit. The future will have its result, or RefitFailed."""
        return self._thread.submit(self._refit, request)

    def _refit(self, request: RefitRequest) -> Refit:
        begun = time.perf_counter()
        answer = self._ask(request)
        if answer is None:
            answer = self._ask(request)
        self._observe(time.perf_counter() - begun)
        if answer is None:
            raise RefitFailed("the process that ran it ended without an answer, twice")
        if isinstance(answer, Refit):
            return answer
        raise RefitFailed(answer)

    def _ask(self, request: RefitRequest) -> Refit | str | None:
        """The answer of the child: a refit, or why there is none. None if the child ended without an answer."""
        try:
            self._connection.send(request)
            answered = self._connection.poll(self._timeout_s)
            answer: Refit | str = self._connection.recv() if answered else f"no result within {self._timeout_s:g} s"
        except (EOFError, OSError):
            self._restart()
            return None
        if not answered:
            self._restart()
        return answer

    def _restart(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._end()
            self._start()
        # If the new child ends or hangs at once, the next request finds out.
        with suppress(EOFError, OSError):
            if self._connection.poll(TIMEOUT_S):
                self._connection.recv()
            else:
                self._process.kill()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._arguments), name="refits", daemon=True)
        self._process.start()
        # Otherwise the connection would stay open when the child ends.
        theirs.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._connection.close()


def _serve(connection: Connection, names: tuple[str, ...], settings: ReversionSettings) -> None:
    """The child: answers requests for refits until the service is gone."""
    # A terminal's Ctrl-C goes to all its processes. The service finishes its work and then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    refitter = Refitter(len(names), settings, names)
    warm_refits(settings.methods)
    connection.send("ready")
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            connection.send(attempt(refitter, request))
        except RefitFailed as exc:
            connection.send(str(exc))


def _end_with_parent() -> None:
    """End this process when the service is gone, even during a refit."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
