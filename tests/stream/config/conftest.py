"""What a configuration is refused with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.config import load_config
from stream.errors import ConfigError


@pytest.fixture
def refusal(desk_toml: str, config_path: Callable[[str], Path]) -> Callable[[str, str], str]:
    """What `desk_toml` is refused with when its first `old` is `new` instead."""
    return lambda old, new: _refusal(config_path, desk_toml, old, new)


@pytest.fixture
def flow_refusal(franchise_toml: str, config_path: Callable[[str], Path]) -> Callable[[str, str], str]:
    """What `franchise_toml` is refused with when its first `old` is `new` instead."""
    return lambda old, new: _refusal(config_path, franchise_toml, old, new)


def _refusal(config_path: Callable[[str], Path], text: str, old: str, new: str) -> str:
    assert old in text
    load_config(config_path(text))
    with pytest.raises(ConfigError) as caught:
        load_config(config_path(text.replace(old, new, 1)))
    assert caught.value.exit_code == 2
    return str(caught.value)
