"""Asks a running service over HTTP, and says why where there is no answer."""

from __future__ import annotations

import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from schemas.answers import Refusal
from stream.config.metrics import TOKEN_VARIABLE
from stream.errors import ConfigError, ServiceUnavailable

TIMEOUT_S = 10.0

_Answer = TypeVar("_Answer", bound=msgspec.Struct)


def ask(url: str, path: str, query: Sequence[tuple[str, str]], kind: type[_Answer]) -> _Answer:
    """The answer of the service at `url`. The question carries the token in TOKEN_VARIABLE where it is set.

    Raises
    ------
    ConfigError : the service refuses the question.
    ServiceUnavailable : no service answers at `url`, it has no answer now, or it wants another token.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"--url must be http://HOST:PORT of a running service, got {url!r}")
    request = urllib.request.Request(f"{url.rstrip('/')}{path}?{urllib.parse.urlencode(query)}")
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            body: bytes = reply.read()
    except urllib.error.HTTPError as exc:
        raise _refused(url, exc.code, exc.read()) from exc
    except (urllib.error.URLError, OSError, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        raise ServiceUnavailable(
            f"no service answers at {url}: {reason}; its address is metrics.host and metrics.port of its configuration"
        ) from exc
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as exc:
        raise ServiceUnavailable(f"what answers at {url} is no betapack of this version: {exc}") from exc


def _refused(url: str, status: int, body: bytes) -> ConfigError | ServiceUnavailable:
    try:
        message = msgspec.json.decode(body, type=Refusal).message
    except msgspec.DecodeError:
        message = body.decode(errors="replace").strip()
    if status in (400, 404):
        return ConfigError(f"{url} refuses the question: {message}")
    if status == 401:
        return ServiceUnavailable(f"{url}: {message}; set the environment variable {TOKEN_VARIABLE}")
    return ServiceUnavailable(f"{url} has no answer: {message}")
