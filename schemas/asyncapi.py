"""The messages for people and programs without Python: JSON Schema of each, and the AsyncAPI document around them.

Everything is made from the Structs, their docstrings and `schemas.topics`; nothing here is a second source.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from schemas import inbound, internal, outbound
from schemas.meaning import field_meanings, what_it_is
from schemas.topics import TOPIC_OF, TOPICS, Topic
from schemas.wire import CONTENT_TYPES, event_type, message_name

Document: TypeAlias = dict[str, Any]

# Version of the messages as a whole: it moves when any of them gains a field, and each version has its golden bytes.
VERSION = "1"
ASYNCAPI_VERSION = "3.0.0"
KAFKA_BINDING_VERSION = "0.5.0"
JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_STRUCTS: dict[str, type[Struct]] = {
    name: value
    for module in (inbound, internal, outbound)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, Struct) and value is not Struct
}
_ACTIONS = {"in": ("receive",), "out": ("send",), "internal": ("receive", "send")}


def json_schema(message: type[Struct]) -> Document:
    """JSON Schema (2020-12) of one message. Unknown fields are allowed, as in decoding."""
    components = _components((message,), "#/$defs/{name}")
    schema = {"$schema": JSON_SCHEMA_DIALECT, **components.pop(message.__name__)}
    if components:
        schema["$defs"] = components
    return schema


def asyncapi_document() -> Document:
    """The AsyncAPI document: what the service receives and sends, on which topics, with which headers and keys."""
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "betapack",
            "version": VERSION,
            "description": "Says for every book what is really unhedged and what to trade, from ticks and positions.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            f"{action}-{topic.name}": _operation(action, topic)
            for topic in TOPICS
            for action in _ACTIONS[topic.direction]
        },
        "components": {
            "messages": {message_name(message): _message(message, topic) for message, topic in TOPIC_OF.items()},
            "schemas": _components(tuple(TOPIC_OF), "#/components/schemas/{name}"),
        },
    }


def _channel(topic: Topic) -> Document:
    names = [message_name(message) for message in topic.messages]
    return {
        "address": topic.name,
        "summary": topic.summary,
        "description": "The service puts its configured topic prefix in front of this name.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": [topic.cleanup_policy]},
                "bindingVersion": KAFKA_BINDING_VERSION,
            }
        },
    }


def _operation(action: str, topic: Topic) -> Document:
    names = [message_name(message) for message in topic.messages]
    return {
        "action": action,
        "summary": topic.summary,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in names],
    }


def _message(message: type[Struct], topic: Topic) -> Document:
    return {
        "name": message.__name__,
        "title": message.__name__,
        "summary": what_it_is(message)[0],
        "contentType": topic.content_type,
        "headers": _headers(message, topic),
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"UTF-8 text: {topic.key}."},
                "bindingVersion": KAFKA_BINDING_VERSION,
            }
        },
    }


def _headers(message: type[Struct], topic: Topic) -> Document:
    """JSON Schema of a message's Kafka headers: those of CloudEvents' binary mode, and the encoding of the payload."""
    content_type: Document
    if topic.direction == "in":
        content_type = {
            "enum": list(CONTENT_TYPES),
            "default": topic.content_type,
            "description": "Encoding of the payload; without this header it is read as JSON.",
        }
    else:
        content_type = {"const": topic.content_type, "description": "Encoding of the payload."}
    headers: Document = {
        "type": "object",
        "properties": {
            "content-type": {"type": "string", **content_type},
            "ce_specversion": {"type": "string", "const": "1.0", "description": "Version of CloudEvents."},
            "ce_id": {"type": "string", "description": "The same for the same event: drop what was seen before."},
            "ce_type": {"type": "string", "const": event_type(message), "description": "What the message is."},
            "ce_source": {"type": "string", "format": "uri-reference", "description": "Who wrote the message."},
            "ce_time": {"type": "string", "format": "date-time", "description": "Time of the event, UTC."},
        },
    }
    if topic.direction != "in":
        headers["required"] = sorted(headers["properties"])
    elif message is not topic.messages[0]:
        # Without it the record is read as the topic's first message.
        headers["required"] = ["ce_type"]
    return headers


def _components(messages: tuple[type[Struct], ...], ref_template: str) -> dict[str, Document]:
    """Schemas of `messages` and of every Struct inside them, by class name, described by their docstrings."""
    _, components = msgspec.json.schema_components(messages, ref_template=ref_template)
    for name, schema in components.items():
        struct = _STRUCTS[name]
        schema["description"] = "\n\n".join(what_it_is(struct))
        for field, meaning in field_meanings(struct).items():
            schema["properties"][field]["description"] = str(meaning)
    return components
