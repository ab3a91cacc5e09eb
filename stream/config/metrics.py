"""[metrics] and [snapshot]: how the running service is watched, and how often its state is kept."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from stream.config.checks import ABOVE_ZERO, Allowed, wrong

TOKEN_VARIABLE = "BETAPACK_METRICS_TOKEN"
"""The environment variable with the token that every request to the service has to bring."""


class SnapshotConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the state is kept. A restarted worker continues from the last snapshot."""

    every_s: Annotated[
        float,
        Meta(description="Wall-clock time between snapshots. One is taken at the first commit after it has passed."),
        ABOVE_ZERO,
    ] = 5.0


class MetricsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address at which the service shows its metrics and answers requests.

    Requests are answered only under the names of this machine, `host` and `allowed_hosts`. Somebody else's web page,
    whose name was made to point to this machine, gets no answer.
    """

    host: Annotated[
        str,
        Meta(
            description="Address where Prometheus scrapes and what-ifs are asked. One that other machines can reach "
            "needs a token, see below."
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Meta(description="Port of that address. 0 takes a free port, which the notice `starting` names."),
        Allowed("a port from 0 to 65535", lambda port: 0 <= port <= 65535),
    ] = 9464
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Further names under which requests are answered, as in a `Host` header, without the port."),
    ] = ()


def check_metrics_section(metrics: MetricsConfig) -> None:
    for name in metrics.allowed_hosts:
        if not re.fullmatch(r"[A-Za-z0-9.:-]+", name) or re.search(r":\d+$", name):
            raise wrong("metrics.allowed_hosts", "names or addresses without a port", name)
