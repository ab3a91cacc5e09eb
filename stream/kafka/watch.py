"""Looking at the service's topics as long as it runs, beside the stream: no record waits for the answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from stream.config.kafka import KafkaSettings
from stream.errors import BetapackError
from stream.kafka.connection import open_client, translate
from stream.kafka.topic_facts import LogFacts, TopicFacts

NO_ID = "00000000-0000-0000-0000-000000000000"
GONE_AFTER_LOOKS = 2
"""A broker that has just started may not know of a topic yet."""


def look_at_topics(settings: KafkaSettings, names: Sequence[str]) -> LogFacts:
    """What the broker says of those of the named topics that exist. Raises BrokerUnavailable and AccessDenied."""
    admin = open_client(KafkaAdminClient, settings)
    try:
        return _look(admin, names)
    except kafka_errors.KafkaError as exc:
        raise translate(exc, f"looking at topics {', '.join(names)}", settings) from exc
    finally:
        admin.close()


class TopicWatch:
    """Looks at the named topics once at the start, and then every `kafka.metadata_max_age_s`, in a thread.

    Raises
    ------
    BrokerUnavailable, AccessDenied : as they say, at the start only. Later an outage leaves the last answer in place.
    """

    def __init__(self, settings: KafkaSettings, names: Sequence[str]) -> None:
        self._settings = settings
        self._names = list(names)
        self._latest = look_at_topics(settings, self._names)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="topic-watch", daemon=True)
        self._thread.start()

    def latest(self) -> LogFacts:
        """The latest answer; the same object as long as there is no new one."""
        return self._latest

    def close(self) -> None:
        """End the thread. It may be waiting for an answer, which nobody needs any more."""
        self._closed.set()
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        admin: Any = None
        missed: dict[str, int] = {}
        while not self._closed.wait(self._settings.metadata_max_age_s):
            try:
                admin = admin or open_client(KafkaAdminClient, self._settings)
                facts = _look(admin, self._names)
            except (kafka_errors.KafkaError, BetapackError):
                # The stream itself finds out that the broker is away, and says so.
                if admin is not None:
                    with suppress(kafka_errors.KafkaError):
                        admin.close()
                admin = None
                continue
            missed = {name: missed.get(name, 0) + 1 for name in self._names if name not in facts.topics}
            waiting = {name for name, looks in missed.items() if looks < GONE_AFTER_LOOKS}
            before = {name: self._latest.topics[name] for name in waiting if name in self._latest.topics}
            self._latest = LogFacts(facts.cluster_id, {**facts.topics, **before})
        if admin is not None:
            with suppress(kafka_errors.KafkaError):
                admin.close()


def _look(admin: Any, names: Sequence[str]) -> LogFacts:
    topics = {}
    described = [
        topic
        for topic in admin.describe_topics(list(names))
        if kafka_errors.for_code(topic["error_code"]) is kafka_errors.NoError
    ]
    settings = _settings(admin, [topic["name"] for topic in described])
    for topic in described:
        topic_id = str(topic.get("topic_id") or "")
        topics[topic["name"]] = TopicFacts(
            topic_id="" if topic_id == NO_ID else topic_id,
            partitions=len(topic["partitions"]),
            replicas=min((len(partition["replica_nodes"]) for partition in topic["partitions"]), default=1),
            settings=settings.get(topic["name"], {}),
        )
    return LogFacts(str(admin.describe_cluster().get("cluster_id") or ""), topics)


def _settings(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings of each topic; none of a topic whose settings this user may not see."""
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    try:
        described = admin.describe_configs(resources, config_filter="all").get("topic", {})
    except kafka_errors.AuthorizationError:
        return {}
    return {
        name: {key: str(setting["value"]) for key, setting in settings.items()} for name, settings in described.items()
    }
