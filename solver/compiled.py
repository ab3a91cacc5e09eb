"""The one way a numeric kernel gets compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(kernel: Kernel) -> Kernel:
    """Compile `kernel` with numba and keep the machine code in a cache on disk.

    IEEE arithmetic is kept (no fast-math): a replay on the same machine gives the same bits. `solver.warm.warm_kernels`
    calls every kernel of the live path once, so that none is compiled while messages wait.
    """
    return cast(Kernel, njit(cache=True, nogil=True, **_references(counted=True))(kernel))


def compiled_borrowing(kernel: Kernel) -> Kernel:
    """As `compiled`, for a kernel that makes no array and returns none: it counts no references to those it is given.

    Numba counts one for each array of each tuple at each call that it does not inline, 5 ns apiece: most of the time of
    a short kernel on a dozen arrays that another one calls. One that makes an array after all is refused when it is
    compiled.
    """
    return cast(Kernel, njit(cache=True, nogil=True, **_references(counted=False))(kernel))


def compiled_inline(kernel: Kernel) -> Kernel:
    """As `compiled_borrowing`, for a large kernel that one other calls: its code is put there.

    A call hands over tuples of arrays word by word, which for fifty arrays takes a tenth of a microsecond.
    """
    return cast(Kernel, njit(cache=True, nogil=True, forceinline=True, **_references(counted=False))(kernel))


def _references(*, counted: bool) -> dict[str, Any]:
    """Numba's option for its run time that counts references, which its types do not know.

    Always said: a kernel that says nothing takes it from the one that calls it first.
    """
    return {"_nrt": counted}
