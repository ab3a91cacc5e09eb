"""The one way a numeric kernel gets compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(kernel: Kernel) -> Kernel:
    """Compile `kernel` with numba and keep the machine code in a cache on disk.

    IEEE arithmetic is kept (no fast-math): a replay on the same machine gives the same bits. `warm_kernels` of
    `solver.warm` calls every kernel of the live path once, so that none is compiled while messages wait.
    """
    return cast(Kernel, njit(cache=True, nogil=True, **_references(counted=True))(kernel))


def compiled_borrowing(kernel: Kernel) -> Kernel:
    """As `compiled`, for a kernel that makes no array and returns none: it counts no references to its arguments.

    Numba counts one for each array of each tuple at each call that it does not inline, 5 ns apiece. That is most of the
    time of a short kernel that another one calls with a dozen arrays. A kernel that makes an array after all is refused
    when it is compiled.
    """
    return cast(Kernel, njit(cache=True, nogil=True, **_references(counted=False))(kernel))


def compiled_inline(kernel: Kernel) -> Kernel:
    """As `compiled_borrowing`, for a kernel whose code is put into its caller.

    It serves a large kernel that one other kernel calls, and the small steps of a hot one. A call hands over tuples of
    arrays word by word, which takes a tenth of a microsecond for fifty arrays.
    """
    return cast(Kernel, njit(cache=True, nogil=True, forceinline=True, **_references(counted=False))(kernel))


def _references(*, counted: bool) -> dict[str, Any]:
    """Numba's option for its run time, which counts references. Numba's types do not know this option.

    It is always given: a kernel without it takes it from the kernel that calls it first.
    """
    return {"_nrt": counted}
