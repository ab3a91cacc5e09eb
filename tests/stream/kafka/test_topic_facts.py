"""What is compared of two looks at the topics."""

from __future__ import annotations

import pytest

from stream.errors import TopicMismatch, TopicMissing
from stream.kafka.log import TopicPartition
from stream.kafka.topic_facts import LogFacts, TopicFacts, check_same_partitions, check_same_topics

FACTS = LogFacts("c1", {"positions": TopicFacts("p1", 2), "old": TopicFacts("", 1)})


def test_another_id_is_another_topic() -> None:
    """With both ids, the cluster and what to do. An id that is unknown on either side tells nothing."""
    check_same_topics({"positions": "p1", "old": "x", "gone": "y"}, "c1", FACTS, "do this")
    check_same_topics({}, "", FACTS, "do this")
    with pytest.raises(
        TopicMismatch, match=r"positions is another .* id is p1, expected p0 on the cluster c1\. .*do this"
    ):
        check_same_topics({"positions": "p0"}, "c1", FACTS, "do this")
    with pytest.raises(TopicMismatch, match="on the cluster c0; this one is c1"):
        check_same_topics({"positions": "p0"}, "c0", FACTS, "do this")


def test_all_partitions_must_be_read() -> None:
    read = [TopicPartition("positions", 0), TopicPartition("positions", 1)]
    check_same_partitions(read, FACTS)
    with pytest.raises(TopicMismatch, match=r"positions has 2 partitions .* 1 are being read; start again"):
        check_same_partitions(read[:1], FACTS)
    with pytest.raises(TopicMissing, match="ticks was deleted"):
        check_same_partitions([TopicPartition("ticks", 0)], FACTS)


@pytest.mark.parametrize(("policy", "compacted"), [("delete", False), ("compact", True), ("compact,delete", True)])
def test_compacted_is_what_replaces_records(policy: str, compacted: bool) -> None:
    assert TopicFacts("", 1, 1, {"cleanup.policy": policy}).compacted is compacted
    assert not TopicFacts("", 1).compacted
