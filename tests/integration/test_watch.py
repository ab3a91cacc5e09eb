"""What a real broker says of topics, as often as asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from stream.config.kafka import KafkaSettings
from stream.kafka.connection import open_client
from stream.kafka.topic_facts import LogFacts
from stream.kafka.watch import TopicWatch, look_at_topics

pytestmark = pytest.mark.kafka


def until(watch: TopicWatch, wanted: Callable[[LogFacts], bool]) -> LogFacts:
    deadline = time.monotonic() + 30
    while not wanted(watch.latest()):
        assert time.monotonic() < deadline, watch.latest()
        time.sleep(0.05)
    return watch.latest()


def test_a_topic_has_an_id_of_its_own_partitions_and_settings(
    settings: KafkaSettings, create_topics: Callable[..., str]
) -> None:
    """Two looks agree; what does not exist is left out."""
    prefix = create_topics({"positions": 3, "ticks": 1})
    names = [prefix + name for name in ("positions", "ticks", "nowhere")]
    facts = look_at_topics(settings, names)
    assert facts == look_at_topics(settings, names)
    assert set(facts.topics) == set(names[:2])
    assert facts.cluster_id
    positions = facts.topics[names[0]]
    assert (positions.partitions, positions.replicas, positions.compacted) == (3, 1, False)
    assert positions.settings["retention.ms"] == "-1"
    assert positions.settings["unclean.leader.election.enable"] == "false"
    assert len({topic.topic_id for topic in facts.topics.values()} | {""}) == 3


def test_a_watch_sees_partitions_settings_and_another_topic(
    settings: KafkaSettings, create_topics: Callable[..., str]
) -> None:
    """Within its period, and a topic that is gone only after it was missed twice."""
    prefix = create_topics({"positions": 1})
    name = prefix + "positions"
    admin = open_client(KafkaAdminClient, settings)
    quick = msgspec.structs.replace(settings, metadata_max_age_s=0.2)
    with closing(admin), closing(TopicWatch(quick, [name])) as watch:
        first = watch.latest().topics[name]
        admin.create_partitions({name: 4})
        until(watch, lambda facts: facts.topics[name].partitions == 4)
        assert watch.latest().topics[name].topic_id == first.topic_id
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "compact"})])
        until(watch, lambda facts: facts.topics[name].compacted)
        admin.delete_topics([name])
        until(watch, lambda facts: name not in facts.topics)
        admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})
        facts = until(watch, lambda facts: name in facts.topics)
        assert facts.topics[name].topic_id not in ("", first.topic_id)
