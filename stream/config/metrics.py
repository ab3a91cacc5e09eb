"""How the running service is watched."""

from __future__ import annotations

from msgspec import Struct


class SnapshotConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the state is kept: at the first commit after `every_s` of wall-clock time."""

    every_s: float = 5.0


class MetricsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the metrics and the answers to requests are. Port 0 takes a free one and logs it.

    A host beyond this machine needs a token, which every request then has to bring: it is not in the file but in the
    environment variable BETAPACK_METRICS_TOKEN. Requests are answered only for the names of this machine, `host` and
    `allowed_hosts`: a page of somebody else's, whose name was made to point here, gets nothing.
    """

    host: str = "127.0.0.1"
    port: int = 9464
    allowed_hosts: tuple[str, ...] = ()
