"""What is simulated publishes on every topic: the desk of these tests has client flow."""

from __future__ import annotations

import pytest

from stream.config import Config


@pytest.fixture
def desk_toml(franchise_toml: str) -> str:
    return franchise_toml


@pytest.fixture
def desk(franchise: Config) -> Config:
    return franchise
