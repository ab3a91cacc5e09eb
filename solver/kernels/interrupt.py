"""How compiled code asks a Python function whether to stop, from the middle of its work."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Deadline: TypeAlias = Callable[[], Callable[[], bool]]
"""Starts the clock of one solve, and returns the function that says whether its time is over."""

NEVER = 0
"""Instead of an address: nothing is asked, and nothing stops the work."""

_Question = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_int64)


@contextmanager
def interrupt(should_stop: Callable[[int], bool] | None) -> Iterator[int]:
    """An address under which `is_struck` asks `should_stop` while the ``with`` lasts; NEVER for None.

    Nothing can be raised in compiled code. So what `should_stop` raises stops the work and is raised at the end of the
    ``with``; so is Ctrl-C, where the kernel runs in the main thread. `should_stop` is called from the thread that the
    kernel runs in, by one kernel at a time, and each call takes some .1 µs.
    """
    if should_stop is None:
        yield NEVER
        return
    raised: list[BaseException] = []

    def answers() -> Generator[bool, int, None]:
        answer = False
        while True:
            try:
                while True:
                    number = yield answer
                    answer = bool(raised) or bool(should_stop(number))
            except GeneratorExit:
                return
            except BaseException as exc:
                raised.append(exc)
                answer = True

    # The generator is resumed inside its ``try``. A plain function would be entered outside of its own ``try``, and
    # that is where Python raises a Ctrl-C that came in compiled code; ctypes would print it and go on.
    answering = answers()
    next(answering)
    # Named, as ctypes keeps no reference: the address would dangle.
    question = _Question(answering.send)
    yield ctypes.cast(question, ctypes.c_void_p).value or NEVER
    if raised:
        raise raised[0]


def _is_struck(_: Any, address: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # C hands a bool over as a byte.
        question = ir.FunctionType(ir.IntType(8), [ir.IntType(64)]).as_pointer()
        answer = builder.call(builder.inttoptr(arguments[0], question), [arguments[1]])
        return builder.icmp_unsigned("!=", answer, ir.Constant(ir.IntType(8), 0))

    return types.boolean(types.int64, types.int64), generate


is_struck = cast(Callable[[int, int], bool], intrinsic(_is_struck))
"""In a kernel: the answer of the function at an address (not NEVER) to a number."""
