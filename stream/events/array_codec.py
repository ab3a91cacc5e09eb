"""Arrays inside MessagePack: the two hooks that msgspec needs."""

from __future__ import annotations

from typing import Any, get_origin

import numpy as np


def encode_array(value: object) -> object:
    """An array to what MessagePack can hold: msgspec's `enc_hook`."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    raise NotImplementedError(f"not an array: {type(value)}")


def decode_array(kind: type, value: Any) -> object:
    """The array that `encode_array` took apart: msgspec's `dec_hook`."""
    if (get_origin(kind) or kind) is np.ndarray:
        dtype, shape, data = value
        return np.frombuffer(data, dtype=dtype).reshape(shape).copy()
    raise NotImplementedError(f"not an array: {kind}")
