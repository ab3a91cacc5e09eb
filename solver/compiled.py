"""The one way a numeric kernel gets compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(kernel: Kernel) -> Kernel:
    """Compile `kernel` with numba and keep the machine code in a cache on disk.

    IEEE arithmetic is kept (no fast-math): a replay on the same machine gives the same bits. `solver.warm.warm_kernels`
    calls every kernel of the live path once, so that none is compiled while messages wait.
    """
    return cast(Kernel, njit(cache=True, nogil=True)(kernel))
