"""The AsyncAPI document: well formed, and complete against `schemas.topics`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import Struct

from schemas.asyncapi import VERSION, asyncapi_document
from schemas.topics import TOPIC_OF, TOPICS, Topic
from schemas.wire import JSON, decode, event_type, message_name
from stream.events.encode import Encoder
from stream.kafka.log import Headers

DOCUMENT = asyncapi_document()
GOLDEN = Path(__file__).parent / "golden" / VERSION

each_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


def references(node: Any) -> Iterator[str]:
    """Every ``$ref`` below `node`."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(reference: str) -> Any:
    """What a local reference points at, through chains of references."""
    assert reference.startswith("#/"), f"{reference} leaves the document"
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return resolved(node["$ref"]) if set(node) == {"$ref"} else node


def test_required_keys() -> None:
    """The document, its operations and its messages have the keys that AsyncAPI 3.0 requires, and no other root."""
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(DOCUMENT) == {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    assert {"title", "version"} <= set(DOCUMENT["info"])
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert set(operation["channel"]) == {"$ref"}
    for message in DOCUMENT["components"]["messages"].values():
        assert {"name", "contentType", "headers", "payload"} <= set(message)


def test_every_reference_resolves() -> None:
    """Every reference stays in the document and points at something."""
    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        assert resolved(reference)


def test_operations_name_messages_of_their_channel() -> None:
    """An operation's messages are references into its own channel, as the specification demands."""
    for operation in DOCUMENT["operations"].values():
        prefix = operation["channel"]["$ref"] + "/messages/"
        assert all(reference["$ref"].startswith(prefix) for reference in operation["messages"])


def test_nothing_but_the_topics() -> None:
    """Channels are the topics, messages are the messages: no more, no fewer."""
    assert set(DOCUMENT["channels"]) == {topic.name for topic in TOPICS}
    assert set(DOCUMENT["components"]["messages"]) == {message_name(message) for message in TOPIC_OF}


@each_topic
def test_topic(topic: Topic) -> None:
    """A topic's channel carries its messages and Kafka settings, with operations as the service sees them."""
    channel = DOCUMENT["channels"][topic.name]
    assert channel["address"] == topic.name
    assert set(channel["messages"]) == {message_name(message) for message in topic.messages}
    kafka = channel["bindings"]["kafka"]
    assert kafka["partitions"] == topic.partitions
    assert kafka["topicConfiguration"] == {"cleanup.policy": [topic.cleanup_policy]}
    reference = {"$ref": f"#/channels/{topic.name}"}
    actions = {each["action"] for each in DOCUMENT["operations"].values() if each["channel"] == reference}
    assert actions == {"in": {"receive"}, "out": {"send"}, "internal": {"receive", "send"}}[topic.direction]


@each_topic
def test_messages(topic: Topic) -> None:
    """A message names its payload, its key and its headers.

    All headers are required on what the service writes; on what it reads, only what tells a topic's messages apart.
    """
    for index, message_type in enumerate(topic.messages):
        message = resolved(f"#/channels/{topic.name}/messages/{message_name(message_type)}")
        assert message["contentType"] == topic.content_type
        assert resolved(message["payload"]["$ref"])["title"] == message_type.__name__
        assert topic.key in message["bindings"]["kafka"]["key"]["description"]
        headers = message["headers"]["properties"]
        assert set(headers) == {"content-type", "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"}
        assert headers["ce_type"]["const"] == event_type(message_type)
        needed_on_input = {"ce_type"} if index else set()
        required = set(message["headers"].get("required", ()))
        assert required == (needed_on_input if topic.direction == "in" else set(headers))


class Sent:
    """A writer that keeps the last record's topic and headers."""

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int) -> None:
        self.topic, self.headers = topic, {name: content.decode() for name, content in headers}

    def flush(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("message_type", TOPIC_OF, ids=message_name)
def test_what_is_sent_is_what_is_documented(message_type: type[Struct]) -> None:
    """The encoder's headers and topic are those of the document."""
    message = decode(message_type, (GOLDEN / f"{message_name(message_type)}.json").read_bytes(), JSON)
    sent = Sent()
    Encoder("", "/betapack/majors").send(sent, message)
    assert message_name(message_type) in DOCUMENT["channels"][sent.topic]["messages"]
    schema = DOCUMENT["components"]["messages"][message_name(message_type)]["headers"]
    Draft202012Validator(schema).validate(sent.headers)
    assert set(sent.headers) == set(schema["properties"])
