"""Who may ask: the address to listen on, the host names to answer to, and the token."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import socket

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.answers import Refusal
from stream.config.metrics import TOKEN_VARIABLE, MetricsConfig
from stream.errors import ConfigError

BACKLOG = 256

TOKEN_CHARACTERS_MIN = 16
"""Of random letters and digits some 80 bits: nobody guesses them over a network."""

MAKE_TOKEN = "openssl rand -hex 32"


def listener(settings: MetricsConfig) -> socket.socket:
    """A socket that listens on `settings`' address.

    Raises
    ------
    ConfigError : the address is not this machine's own and there is no token, the token can be guessed, or the address
        cannot be listened on.
    """
    has_token = bool(token())  # checked on every address
    if not has_token and not _is_loopback(settings.host):
        raise ConfigError(
            f"metrics.host must be 127.0.0.1, ::1 or localhost as long as the environment variable {TOKEN_VARIABLE} "
            f"holds no token that requests have to bring, got {settings.host!r}; make one with `{MAKE_TOKEN}`"
        )
    try:
        address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[4][:2], family=address[0], backlog=BACKLOG)
    except OSError as exc:
        raise ConfigError(
            f"metrics.port {settings.port} on metrics.host {settings.host} cannot be listened on: {exc.strerror}; "
            "choose another one, or 0 for any free port"
        ) from exc
    return listening


def token() -> str:
    """The token that every request must bring; empty where none is needed.

    Raises
    ------
    ConfigError : the token is too short, or holds what a header cannot carry. The message does not show it.
    """
    found = os.environ.get(TOKEN_VARIABLE, "").strip()
    if found and not re.fullmatch(rf"[!-~]{{{TOKEN_CHARACTERS_MIN},}}", found):
        got = "others" if len(found) >= TOKEN_CHARACTERS_MIN else f"{len(found)} characters"
        raise ConfigError(
            f"the environment variable {TOKEN_VARIABLE} must hold at least {TOKEN_CHARACTERS_MIN} letters, digits and "
            f"signs of ASCII without spaces, got {got}; make a token with `{MAKE_TOKEN}`"
        )
    return found


def host_names(settings: MetricsConfig) -> list[str]:
    """The host names, as in a request's `Host` header, to which the service answers."""
    return ["localhost", "127.0.0.1", "::1", settings.host, *settings.allowed_hosts]


class BearerToken:
    """Lets requests with ``Authorization: Bearer TOKEN`` through, and all requests where `token` is empty."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._expected:
            got = Headers(scope=scope).get("authorization", "").encode()
            # Takes the same time wherever the two differ, so that the time says nothing about the token.
            if not hmac.compare_digest(got, self._expected):
                refusal = Refusal(
                    error="unauthorized",
                    message="this service answers only requests with its token",
                    key="Authorization",
                    expected="Bearer TOKEN",
                    got="another one" if got else "none",
                )
                # Closed: connections without a token must not take the room of those that have one.
                headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}
                response = Response(msgspec.json.encode(refusal), 401, headers, "application/json")
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
