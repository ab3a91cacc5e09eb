"""Offsets for operators: stored when Kafka takes them, and never in anybody's way when it does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import errors as kafka_errors

from stream.config.kafka import KafkaSettings
from stream.errors import BrokerUnavailable
from stream.kafka import group_offsets
from stream.kafka.group_offsets import GroupOffsets
from stream.kafka.log import TopicPartition

TICKS = TopicPartition("ticks", 0)
POSITIONS = TopicPartition("positions", 3)


class Group:
    """What the broker keeps for a group; stands for its client too. `refusal` is what the next commits meet."""

    def __init__(self) -> None:
        self.offsets: dict[tuple[str, int], int] = {}
        self.refusal: BaseException | None = None
        self.attempts = 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def open(self) -> Group:
        if isinstance(self.refusal, BrokerUnavailable):
            raise self.refusal
        return self

    def commit(self, offsets: dict[Any, Any], timeout_ms: int) -> None:
        self.may_answer.wait()
        self.attempts += 1
        if self.refusal is not None:
            raise self.refusal
        self.offsets.update({tuple(partition): each.offset for partition, each in offsets.items()})

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        pass


def until(true: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < give_up_s
        time.sleep(0.005)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    monkeypatch.setattr(group_offsets, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(group_offsets, "RETRY_MOST_S", 0.04)
    return Group()


@pytest.fixture
def stored(group: Group) -> Iterator[GroupOffsets]:
    with closing(GroupOffsets(KafkaSettings(group="desk"), group.open)) as stored:
        yield stored


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (kafka_errors.CommitFailedError(), "group desk has members of another consumer; use another kafka.group"),
        (kafka_errors.UnknownMemberIdError(), "members of another consumer"),
        (kafka_errors.IllegalGenerationError(), "members of another consumer"),
        (kafka_errors.RebalanceInProgressError(), "members of another consumer"),
        (kafka_errors.GroupAuthorizationFailedError("desk"), "grant READ"),
        (kafka_errors.TopicAuthorizationFailedError({"ticks"}), "grant READ"),
        (kafka_errors.CoordinatorNotAvailableError(), "coordinator of group desk does not answer"),
        (kafka_errors.KafkaTimeoutError(), "does not answer"),
        (kafka_errors.InvalidGroupIdError(), "InvalidGroupIdError"),
        (BrokerUnavailable("nothing listens on 127.0.0.1:1", "refused"), "nothing listens"),
        (KeyError("a bug"), "KeyError"),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, BaseException) else "",
)
def test_a_refusal_is_named_and_tried_again(
    group: Group, stored: GroupOffsets, refusal: BaseException, cause: str
) -> None:
    """The latest offsets are stored once Kafka takes them, though nobody asks again."""
    group.refusal = refusal
    stored.store({TICKS: 4})
    until(lambda: cause in stored.failure)
    stored.store({TICKS: 7, POSITIONS: 1})
    group.refusal = None
    until(lambda: group.offsets == {tuple(TICKS): 7, tuple(POSITIONS): 1})
    until(lambda: stored.failure == "")


def test_nobody_waits_for_a_broker_that_does_not_answer(group: Group, stored: GroupOffsets) -> None:
    """A thousand offsets are handed over meanwhile; then only the last of them is stored."""
    group.may_answer.clear()
    for offset in range(1000):
        stored.store({TICKS: offset})
    assert group.attempts == 0
    group.may_answer.set()
    until(lambda: group.offsets == {tuple(TICKS): 999})
    assert group.attempts <= 2


def test_attempts_that_fail_become_rare(group: Group, stored: GroupOffsets, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often offsets are handed over: the next attempt waits twice as long as the one before."""
    monkeypatch.setattr(group_offsets, "RETRY_MOST_S", 3600.0)
    monkeypatch.setattr(group_offsets, "RETRY_FIRST_S", 3600.0)
    group.refusal = kafka_errors.CommitFailedError()
    stored.store({TICKS: 0})
    until(lambda: group.attempts == 1)
    for offset in range(100):
        stored.store({TICKS: offset})
    assert group.attempts == 1


def test_the_last_offsets_are_stored_at_the_end(group: Group, stored: GroupOffsets) -> None:
    """An orderly stop leaves no lag that is none, also where attempts failed until then."""
    group.refusal = kafka_errors.CommitFailedError()
    stored.store({TICKS: 1})
    until(lambda: stored.failure != "")
    group.refusal = None
    stored.store({TICKS: 2})
    stored.close()
    assert group.offsets == {tuple(TICKS): 2}
