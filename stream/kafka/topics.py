"""Creating and checking the service's topics on the broker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from schemas.outbound import DeadLetter
from schemas.topics import TOPIC_OF, Topic
from stream.config.dead_letters import DeadLettersConfig
from stream.config.kafka import MAX_RECORD_BYTES, KafkaSettings
from stream.errors import AccessDenied, TopicMismatch, TopicMissing
from stream.kafka.connection import open_client, translate

# A tick or a position from a clock that runs far ahead would stay the latest one until time comes there. Its record
# carries the event time, so the broker, which has its own clock, can refuse it.
_INPUT_AHEAD_MAX_MS = "60000"

# Outputs carry the event time of their inputs. If Kafka refused one for its date, the service would stop.
_NO_TIMESTAMP_LIMIT = str(2**63 - 1)

# A record that cannot be read must fit into a dead letter, where base64 makes four bytes of three.
_INPUT_BYTES_MAX = str(MAX_RECORD_BYTES // 4)

# The active segment is never compacted. With Kafka's default size of 1 GB a restart could read 1 GB of old state.
_COMPACTED_SEGMENT_BYTES = 4 * MAX_RECORD_BYTES


_DAY_MS = 86_400_000

# Kafka deletes whole segments and never the active one, so what is kept is exact to a segment.
_LETTERS_SEGMENT_MS_MAX = _DAY_MS
_LETTERS_SEGMENTS = 8
_LETTERS_AS_BY_DEFAULT = DeadLettersConfig()


def topic_settings(
    topic: Topic, replication: int, dead_letters: DeadLettersConfig = _LETTERS_AS_BY_DEFAULT
) -> dict[str, str]:
    """Kafka's settings for `topic`. Retention by time is off, for a replay writes old timestamps.

    Only dead letters are deleted. The broker dates their records: by the event times of a replay it would delete them
    at once, or never. Nothing that reads them needs the record's timestamp, because each message has its event time.
    """
    settings = {
        "cleanup.policy": topic.cleanup_policy,
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": _INPUT_AHEAD_MAX_MS if topic.direction == "in" else _NO_TIMESTAMP_LIMIT,
        "max.message.bytes": _INPUT_BYTES_MAX if topic.direction == "in" else str(MAX_RECORD_BYTES),
        # One of three replicas may be down, and an acknowledged record survives the loss of another.
        "min.insync.replicas": str(min(2, max(1, replication - 1))),
    }
    if topic is TOPIC_OF[DeadLetter]:
        kept_ms, kept_bytes = round(dead_letters.keep_days * _DAY_MS), dead_letters.keep_mb * 1_000_000
        settings["message.timestamp.type"] = "LogAppendTime"
        settings["retention.ms"] = str(kept_ms)
        settings["retention.bytes"] = str(kept_bytes // topic.partitions)
        settings["segment.ms"] = str(min(kept_ms, _LETTERS_SEGMENT_MS_MAX))
        settings["segment.bytes"] = str(max(2 * MAX_RECORD_BYTES, kept_bytes // topic.partitions // _LETTERS_SEGMENTS))
    elif topic.cleanup_policy == "delete":
        settings["retention.ms"] = "-1"
    else:
        settings["segment.bytes"] = str(_COMPACTED_SEGMENT_BYTES)
        settings["min.cleanable.dirty.ratio"] = "0.1"
    return settings


def create_topics(
    settings: KafkaSettings,
    topics: Iterable[Topic],
    prefix: str = "",
    replication: int = 1,
    dead_letters: DeadLettersConfig = _LETTERS_AS_BY_DEFAULT,
) -> list[str]:
    """Create those of `topics` that do not exist, each with a leader when this returns. Repeatable.

    Topics that exist are left as they are: operators may have given them more partitions or a retention.

    Returns
    -------
    The names that were created, with `prefix`.

    Raises
    ------
    BrokerUnavailable, AccessDenied : as they say.
    TopicMismatch : the broker cannot keep a topic as asked (such as more replicas than brokers).
    """
    wanted = {prefix + topic.name: topic for topic in topics}
    admin = open_client(KafkaAdminClient, settings)
    try:
        missing = sorted(wanted.keys() - _partition_counts(admin, wanted).keys())
        created = []
        for name in missing:
            topic = wanted[name]
            asked = {
                "num_partitions": topic.partitions,
                "replication_factor": replication,
                "configs": topic_settings(topic, replication, dead_letters),
            }
            try:
                admin.create_topics({name: asked})
                created.append(name)
            except kafka_errors.TopicAlreadyExistsError:
                # Another worker started at the same time.
                continue
            except (kafka_errors.InvalidReplicationFactorError, kafka_errors.PolicyViolationError) as exc:
                raise TopicMismatch(
                    f"the broker cannot keep {name} with {topic.partitions} partitions and {replication} replicas: "
                    f"{exc}; set topics.replication to at most the number of brokers"
                ) from exc
        admin.wait_for_topics(missing)
        return created
    except kafka_errors.KafkaError as exc:
        raise translate(exc, f"creating topics {', '.join(wanted)}", settings) from exc
    finally:
        admin.close()


def delete_topics(settings: KafkaSettings, names: Iterable[str]) -> None:
    """Delete these topics and their records: for those that a demo or benchmark made for itself.

    Raises
    ------
    BrokerUnavailable, AccessDenied, TopicMissing : as they say.
    """
    admin = open_client(KafkaAdminClient, settings)
    try:
        admin.delete_topics(list(names))
    except kafka_errors.KafkaError as exc:
        raise translate(exc, "deleting topics", settings) from exc
    finally:
        admin.close()


def check_topics(
    settings: KafkaSettings, topics: Iterable[Topic], prefix: str = "", exact: bool = False
) -> dict[str, int]:
    """Number of partitions of each of `topics` on the broker, by name with `prefix`.

    Raises
    ------
    TopicMissing : some do not exist; names all of them.
    TopicMismatch : with `exact`, a topic has another number of partitions than `topics` says.
    BrokerUnavailable, AccessDenied : as they say.
    """
    wanted = {prefix + topic.name: topic for topic in topics}
    counts = partition_counts(settings, wanted)
    if exact:
        for name, topic in wanted.items():
            if counts[name] != topic.partitions:
                raise TopicMismatch(
                    f"topic {name} must have {topic.partitions} partitions, got {counts[name]} at "
                    f"{settings.bootstrap}; delete and create it again with `betapack topics --create`, "
                    "or use another topics.prefix"
                )
    return counts


def partition_counts(settings: KafkaSettings, names: Iterable[str]) -> dict[str, int]:
    """Number of partitions of each named topic. Raises TopicMissing, BrokerUnavailable, AccessDenied."""
    names = list(names)
    admin = open_client(KafkaAdminClient, settings)
    try:
        counts = _partition_counts(admin, names)
    except kafka_errors.KafkaError as exc:
        raise translate(exc, f"looking up topics {', '.join(names)}", settings) from exc
    finally:
        admin.close()
    missing = [name for name in names if name not in counts]
    if missing:
        raise TopicMissing(
            f"no topic {', '.join(missing)} at {settings.bootstrap}; create with `betapack topics --create` "
            "or check topics.prefix"
        )
    return counts


def _partition_counts(admin: Any, names: Iterable[str]) -> dict[str, int]:
    """Number of partitions of those topics that exist. Raises AccessDenied where the user may not describe a topic."""
    counts = {}
    for described in admin.describe_topics(list(names)):
        error = kafka_errors.for_code(described["error_code"])
        if error is kafka_errors.NoError:
            counts[described["name"]] = len(described["partitions"])
        elif issubclass(error, kafka_errors.AuthorizationError):
            raise AccessDenied(f"Kafka refused to describe topic {described['name']}; grant the user DESCRIBE on it")
        elif error is not kafka_errors.UnknownTopicOrPartitionError:
            raise error(described["name"])
    return counts
