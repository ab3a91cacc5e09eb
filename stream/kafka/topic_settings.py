"""What the settings of its topics can do to the service: what loses records silently is refused, the rest is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.topics import Topic
from stream.config.kafka import MAX_RECORD_BYTES
from stream.errors import TopicMismatch
from stream.kafka.topic_facts import LogFacts, TopicFacts

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Finding:
    """One setting of a topic. With the severity `error` records can get lost and nobody would notice."""

    severity: Literal["warning", "error"]
    topic: str
    setting: str
    text: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting}: {self.text}"


def findings(facts: LogFacts, topics: Iterable[Topic], prefix: str = "") -> list[Finding]:
    """What is wrong with the settings of `topics`, errors first. Topics that do not exist are left out."""
    found: list[Finding] = []
    for topic in topics:
        name = prefix + topic.name
        kept = facts.topics.get(name)
        if kept is None:
            continue
        if not kept.settings:
            text = "not shown to this user; grant DESCRIBE_CONFIGS, so that settings that lose records are found"
            found.append(Finding("warning", name, "all settings", text))
            continue
        found += (Finding(severity, name, setting, text) for severity, setting, text in _of_topic(topic, kept))
    return sorted(found, key=lambda finding: finding.severity)


def check_settings(found: Iterable[Finding]) -> None:
    """Raise TopicMismatch with all errors among the findings, if there are any."""
    errors = [str(finding) for finding in found if finding.severity == "error"]
    if errors:
        raise TopicMismatch(f"records can get lost without a trace; {'; '.join(errors)}")


_Found = tuple[Literal["warning", "error"], str, str]


def _of_topic(topic: Topic, kept: TopicFacts) -> Iterator[_Found]:
    settings = kept.settings
    if topic.direction == "in":
        yield from _of_input(topic, kept)
    elif int(settings.get("max.message.bytes", MAX_RECORD_BYTES)) < MAX_RECORD_BYTES:
        yield (
            "warning",
            "max.message.bytes",
            f"{settings['max.message.bytes']}, expected {MAX_RECORD_BYTES}: the service ends at a larger record",
        )
    if topic.direction == "internal" and "delete" in settings.get("cleanup.policy", "compact"):
        text = f"{settings['cleanup.policy']}, expected compact: without a snapshot a start reads everything again"
        yield "warning", "cleanup.policy", text
    if kept.replicas > 1 and topic.direction != "out":
        if settings.get("unclean.leader.election.enable") == "true":
            text = "true, expected false: a replica that lacks acknowledged records may become the leader"
            yield "error", "unclean.leader.election.enable", text
        if int(settings.get("min.insync.replicas", 2)) < 2:
            text = f"1 of {kept.replicas} replicas, expected 2: an acknowledged record can be on one disk only"
            yield "warning", "min.insync.replicas", text


def _of_input(topic: Topic, kept: TopicFacts) -> Iterator[_Found]:
    policy = kept.settings.get("cleanup.policy", "delete")
    if kept.compacted and topic.name == "hedge-status":
        text = f"{policy}, expected delete: compaction removes reports of trades, which are then suggested again"
        yield "error", "cleanup.policy", text
    elif kept.compacted and topic.name == "positions":
        text = (
            f'{policy}: every key must name book and asset, as ["franc","EUR"]; of another key compaction keeps the '
            "level of one asset only, and the book is incomplete after each start"
        )
        yield "warning", "cleanup.policy", text
    elif kept.compacted and topic.name == "ticks":
        text = f"{policy}, expected delete: compaction removes quotes that a rebuild needs"
        yield "warning", "cleanup.policy", text
    elif "delete" in policy and topic.name == "corrections":
        text = f"{policy}, expected compact: a rebuild takes in again what a correction that was deleted had left out"
        yield "warning", "cleanup.policy", text
    if "delete" in policy and topic.name == "positions":
        kept_ms, kept_bytes = int(kept.settings.get("retention.ms", -1)), int(kept.settings.get("retention.bytes", -1))
        advice = "levels that are older are gone in a rebuild, and books incomplete, unless all are sent again in time"
        if kept_ms >= 0:
            yield "warning", "retention.ms", f"{kept_ms} ({kept_ms / DAY_MS:g} days), expected -1: {advice}"
        if kept_bytes >= 0:
            yield "warning", "retention.bytes", f"{kept_bytes}, expected -1: {advice}"
    if kept.settings.get("message.timestamp.type") == "LogAppendTime":
        text = (
            "LogAppendTime, expected CreateTime: the broker's clock replaces the producers', so in a rebuild messages "
            "without event_time_ns can be ordered otherwise than when they came"
        )
        yield "warning", "message.timestamp.type", text
