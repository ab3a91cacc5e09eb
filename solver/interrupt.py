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
"""Starts the time of one solve, and gives what says when it is over."""

NEVER = 0
"""In place of an address: nobody is asked, and nothing stops."""

_Question = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_int64)


@contextmanager
def interrupt(should_stop: Callable[[int], bool] | None) -> Iterator[int]:
    """An address under which `is_struck` asks `should_stop` while the ``with`` lasts; NEVER for None.

    Nothing can be raised through compiled code: what `should_stop` raises stops the work, and is raised at the end of
    the ``with``. So is Ctrl-C, where the kernel runs in the main thread. It is asked from the thread that the kernel
    runs in, by one kernel at a time, some .1 µs each time.
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

    # Going on in the ``try``: a function is entered outside of its own, and that is where Python raises a Ctrl-C that
    # came in compiled code. ctypes would print it and go on.
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
"""In a kernel: what the function at an address (not NEVER) answers to a number."""
