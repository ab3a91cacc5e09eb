"""What messages and fields mean is written once, in docstrings, for every one of them."""

from __future__ import annotations

import pytest
from msgspec import Struct

from schemas import answers, inbound, internal, outbound
from schemas.asyncapi import json_schema
from schemas.meaning import Meaning, described_fields, field_meanings, what_it_is
from schemas.topics import TOPIC_OF

MODULES = (answers, inbound, internal, outbound)
STRUCTS = {
    value: module
    for module in MODULES
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, Struct) and value.__module__ == module.__name__
}


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_has_a_meaning(struct: type[Struct]) -> None:
    """Each field is described, in sentences; no entry is left over from a field that is gone."""
    meanings = field_meanings(struct)
    assert tuple(meanings) == struct.__struct_fields__
    assert all(meaning.text.endswith(".") for meaning in meanings.values())
    assert set(described_fields(struct.__doc__)) <= set(struct.__struct_fields__)
    assert all(what_it_is(struct))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_is_shared_is_used(module: object) -> None:
    """Each entry of a module's docstring is some field's only description in that module."""
    for name in described_fields(module.__doc__):
        users = [struct for struct, home in STRUCTS.items() if home is module and name in struct.__struct_fields__]
        assert any(name not in described_fields(struct.__doc__) for struct in users), name


@pytest.mark.parametrize("message", TOPIC_OF, ids=lambda message: message.__name__)
def test_schemas_say_what_fields_mean(message: type[Struct]) -> None:
    """Every property in a JSON Schema has its field's meaning and unit."""
    properties = json_schema(message)["properties"]
    assert {name: each["description"] for name, each in properties.items()} == {
        name: str(meaning) for name, meaning in field_meanings(message).items()
    }


def test_units_stand_last() -> None:
    """Brackets at the end are the unit, those inside a sentence are not, and lines that go on belong to their entry."""
    docstring = """What it is.

    Attributes
    ----------
    bid : Best price at which
        the market buys. [quote asset per unit]
    source : The record as topic[partition]@offset.
    """
    assert described_fields(docstring) == {
        "bid": Meaning("Best price at which the market buys.", "quote asset per unit"),
        "source": Meaning("The record as topic[partition]@offset."),
    }
    with pytest.raises(ValueError, match="an entry must read"):
        described_fields("What it is.\n\nAttributes\n----------\nbid is the best price")
