"""Who may ask: addresses, ports and names."""

from __future__ import annotations

from contextlib import closing

import msgspec
import pytest

from stream.config import Config, MetricsConfig, check_config
from stream.config.metrics import TOKEN_VARIABLE
from stream.errors import ConfigError
from stream.web.access import listener


def test_another_address_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody shows a book to the network by a single key."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "desk.example"):
        with pytest.raises(ConfigError, match=rf"metrics\.host must be 127\.0\.0\.1.*{TOKEN_VARIABLE}"):
            listener(MetricsConfig(host=host, port=0))
    listener(MetricsConfig(host="localhost", port=0)).close()
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret-of-the-desk")
    listener(MetricsConfig(host="0.0.0.0", port=0)).close()


def test_a_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 127.0.0.1 too. The message says how to make a token, and does not show the one it got."""
    for token in ("x", "fifteen-letters", "a token of several words", "pässwörter-und-mehr"):
        monkeypatch.setenv(TOKEN_VARIABLE, token)
        with pytest.raises(ConfigError, match=rf"{TOKEN_VARIABLE} must hold at least 16 .*openssl rand") as refused:
            listener(MetricsConfig(port=0))
        assert token not in str(refused.value).split()
    monkeypatch.setenv(TOKEN_VARIABLE, " sixteen-letters!\n")
    listener(MetricsConfig(port=0)).close()


def test_a_port_that_is_taken_is_named() -> None:
    """The message names both keys and what to do."""
    with closing(listener(MetricsConfig(port=0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"metrics\.port {port} on metrics\.host 127\.0\.0\.1 .* 0 for any free"):
            listener(MetricsConfig(port=port))


def test_allowed_hosts_are_names(desk: Config) -> None:
    """A port, a path or a wildcard in one is refused at start."""
    for name in ("desk:9464", "http://desk", "*", "*.example.com", ""):
        with pytest.raises(ConfigError, match=r"metrics\.allowed_hosts must be names or addresses without a port"):
            check_config(msgspec.structs.replace(desk, metrics=MetricsConfig(allowed_hosts=(name,))))
    check_config(msgspec.structs.replace(desk, metrics=MetricsConfig(allowed_hosts=("desk.example", "2001:db8::a"))))
