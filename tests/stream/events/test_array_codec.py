"""Arrays through MessagePack."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from stream.events.array_codec import decode_array, encode_array

ARRAYS = (
    np.array([0.1, -0.0, np.nan, np.inf, 5e-324]),
    np.arange(6, dtype=np.int64).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(10.0)[::3],
    np.array([True, False]),
    np.empty((0, 3)),
)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_an_array_comes_back_to_the_bit(array: np.ndarray) -> None:
    """Type, shape and every bit, whatever its layout; and the copy can be written to."""
    data = msgspec.msgpack.encode(array, enc_hook=encode_array)
    back = msgspec.msgpack.decode(data, type=np.ndarray, dec_hook=decode_array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable
    assert not np.shares_memory(back, array)


def test_what_is_no_array_is_refused() -> None:
    """In both directions: nothing is turned into an array by accident."""
    with pytest.raises(NotImplementedError, match="not an array"):
        encode_array(object())
    with pytest.raises(NotImplementedError, match="not an array"):
        decode_array(complex, b"")
