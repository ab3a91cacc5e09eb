"""Which settings of topics are refused, which are said, and which are as they should be."""

from __future__ import annotations

import pytest

from schemas.topics import TOPICS
from stream.errors import TopicMismatch
from stream.kafka.topic_facts import LogFacts, TopicFacts
from stream.kafka.topic_settings import check_settings, findings
from stream.kafka.topics import topic_settings

Found = list[tuple[str, str, str]]


def found_of(topic: str, replicas: int = 1, **changed: str) -> Found:
    """The findings on `topic` of a service with the prefix `x.`, made as `topics --create` does but for `changed`."""
    (described,) = [each for each in TOPICS if each.name == topic]
    settings = topic_settings(described, replicas) | {name.replace("_", "."): value for name, value in changed.items()}
    facts = LogFacts("c", {f"x.{topic}": TopicFacts("id", 4, replicas, settings)})
    return [(each.severity, each.topic, each.setting) for each in findings(facts, TOPICS, "x.")]


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_our_own_topics_are_as_they_should_be(topic: str, replicas: int) -> None:
    assert found_of(topic, replicas) == []


WARNED = [
    ("positions", 1, {"cleanup_policy": "compact"}),
    ("positions", 1, {"retention_ms": "604800000"}),
    ("positions", 1, {"retention_bytes": "1000000"}),
    ("ticks", 1, {"cleanup_policy": "compact"}),
    ("ticks", 1, {"message_timestamp_type": "LogAppendTime"}),
    ("positions", 3, {"min_insync_replicas": "1"}),
    ("state", 1, {"cleanup_policy": "compact,delete"}),
    ("corrections", 1, {"cleanup_policy": "delete"}),
    ("state", 1, {"max_message_bytes": "1048588"}),
    ("alerts", 1, {"max_message_bytes": "1048588"}),
]


@pytest.mark.parametrize(("topic", "replicas", "changed"), WARNED)
def test_what_can_be_seen_later_is_a_warning(topic: str, replicas: int, changed: dict[str, str]) -> None:
    (setting,) = changed
    assert found_of(topic, replicas, **changed) == [("warning", f"x.{topic}", setting.replace("_", "."))]


REFUSED = [
    ("hedge-status", 1, {"cleanup_policy": "compact"}),
    ("positions", 3, {"unclean_leader_election_enable": "true"}),
    ("state", 3, {"unclean_leader_election_enable": "true"}),
]


@pytest.mark.parametrize(("topic", "replicas", "changed"), REFUSED)
def test_what_loses_records_silently_is_an_error(topic: str, replicas: int, changed: dict[str, str]) -> None:
    (setting,) = changed
    assert found_of(topic, replicas, **changed) == [("error", f"x.{topic}", setting.replace("_", "."))]


@pytest.mark.parametrize(
    ("topic", "replicas", "changed"),
    [
        ("positions", 1, {"unclean_leader_election_enable": "true"}),
        ("alerts", 3, {"unclean_leader_election_enable": "true"}),
        ("ticks", 1, {"retention_ms": "604800000"}),
        ("positions", 1, {"cleanup_policy": "compact", "retention_ms": "604800000"}),
    ],
)
def test_what_does_no_harm_here_is_not_said(topic: str, replicas: int, changed: dict[str, str]) -> None:
    """One replica has no other leader, outputs are written again, old quotes may go, compaction knows no age."""
    expected = [("warning", "x.positions", "cleanup.policy")] if changed.get("cleanup_policy") else []
    assert found_of(topic, replicas, **changed) == expected


def test_settings_that_are_not_shown_are_said() -> None:
    facts = LogFacts("c", {"positions": TopicFacts("id", 4)})
    (finding,) = findings(facts, TOPICS)
    assert finding.severity == "warning"
    assert "DESCRIBE_CONFIGS" in finding.text


def test_an_error_names_topic_setting_and_what_is_expected() -> None:
    facts = LogFacts("c", {"hedge-status": TopicFacts("id", 4, 1, {"cleanup.policy": "compact"})})
    with pytest.raises(TopicMismatch, match=r"hedge-status: cleanup\.policy: compact, expected delete"):
        check_settings(findings(facts, TOPICS))
    check_settings([])
