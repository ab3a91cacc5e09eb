"""Before any test module loads numpy or numba; and which tests run in one process where there are several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stream.cli.kernels import prepare_kernels

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

prepare_kernels()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Files are kept whole, for what they set up once; and those under tests/integration together, for their Kafka."""
    from xdist.scheduler import LoadFileScheduling

    class WithOneKafka(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/integration" if nodeid.startswith("tests/integration/") else super()._split_scope(nodeid)

    return WithOneKafka(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of tests has no terminal of its own to say which Kafka it used."""
    if used := getattr(node, "workeroutput", {}).get("kafka"):
        node.config.pluginmanager.getplugin("terminalreporter").write_line(f"\n{used}")
