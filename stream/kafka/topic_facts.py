"""What a broker says of topics: which they are, how they are partitioned, and how their records are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stream.errors import TopicMismatch, TopicMissing
from stream.kafka.log import TopicPartition


@dataclass(frozen=True)
class TopicFacts:
    """One topic. `settings` are empty where the broker does not show them, `topic_id` where it gives none."""

    topic_id: str
    partitions: int
    replicas: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def compacted(self) -> bool:
        """Whether a later record replaces an earlier one with the same key."""
        return "compact" in self.settings.get("cleanup.policy", "")


@dataclass(frozen=True)
class LogFacts:
    """Topics by name, and the cluster that they are on."""

    cluster_id: str
    topics: Mapping[str, TopicFacts]

    def ids(self, names: Iterable[str]) -> dict[str, str]:
        """The ids of those of `names` that have one. A topic that is deleted and created again has another."""
        return {
            name: self.topics[name].topic_id for name in names if name in self.topics and self.topics[name].topic_id
        }


def check_same_topics(known: Mapping[str, str], cluster_id: str, facts: LogFacts, advice: str) -> None:
    """Check that topics are the ones whose ids are `known`, on the cluster `cluster_id`. `advice` ends the error.

    Raises
    ------
    TopicMismatch : one is another topic under the same name.
    """
    found = facts.ids(known)
    for name, topic_id in known.items():
        if found.get(name, topic_id) != topic_id:
            where = (
                f"on the cluster {cluster_id}"
                if cluster_id == facts.cluster_id
                else (f"on the cluster {cluster_id}; this one is {facts.cluster_id}")
            )
            raise TopicMismatch(
                f"{name} is another topic than the one that was read: its id is {found[name]}, expected {topic_id} "
                f"{where}. It was deleted and created again, or kafka.bootstrap names another cluster; {advice}"
            )


def check_same_partitions(read: Iterable[TopicPartition], facts: LogFacts) -> None:
    """Check that `read` are all partitions of their topics.

    Raises
    ------
    TopicMissing : a topic is gone.
    TopicMismatch : a topic has more partitions, in which nobody has read anything.
    """
    counts: dict[str, int] = {}
    for partition in read:
        counts[partition.topic] = counts.get(partition.topic, 0) + 1
    for name, count in counts.items():
        topic = facts.topics.get(name)
        if topic is None:
            raise TopicMissing(
                f"the topic {name} was deleted while it was read; create it anew and start with --rebuild"
            )
        if topic.partitions != count:
            raise TopicMismatch(
                f"{name} has {topic.partitions} partitions since somebody added some, and {count} are being read; "
                "start again: the partitions that were added are then read from their beginning"
            )
