"""Answers over HTTP: how many may wait, and what is refused."""

from __future__ import annotations

import asyncio

from stream.web.app import Busy, Turns


def test_only_so_many_may_wait() -> None:
    """One is answered while three wait; the others of ten are turned away, and nobody once these are done."""

    async def crowd() -> list[bool]:
        turns = Turns(waiting_max=3)

        async def one() -> bool:
            try:
                async with turns.one():
                    return True
            except Busy:
                return False

        return [*await asyncio.gather(*(one() for _ in range(10))), *await asyncio.gather(*(one() for _ in range(4)))]

    assert asyncio.run(crowd()) == [True] * 4 + [False] * 6 + [True] * 4
