"""The messages of betapack: msgspec Structs, their topics, JSON Schema and AsyncAPI document.

Evolution rule: a new field has a default, the type of a field never changes, and the golden bytes of every released
version decode for ever (`tests/schemas/golden`).
"""
