"""What the OpenAPI document says of parameters and answers, where FastAPI says too little of them or too much."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]
Schemas = Mapping[str, Schema]

NO_DESCRIPTION = "Successful Response"


class NoExampleError(LookupError):
    """A schema of which no example can be put together: one of its parts has none."""


def document_shapes(document: dict[str, Any]) -> None:
    """Say in an OpenAPI document what is so; doing it again changes nothing.

    Nothing in a URL is null; a field of an answer is always there; an answer is described by its model, and its example
    is put together from those of the fields. The titles that FastAPI makes of names say nothing.
    """
    schemas: dict[str, Schema] = document["components"]["schemas"]
    sent = set(_sent(document, schemas))
    for name, schema in schemas.items():
        _drop_titles(schema)
        if name not in sent and "properties" in schema:
            _mark_all_as_there(schema)
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _in_a_url(parameter["schema"])
        for response in operation["responses"].values():
            _describe(response, schemas)


def example_of(schema: Schema, schemas: Schemas) -> Any:
    """An example of `schema`, made of the examples of its parts; raises `NoExampleError`."""
    match schema:
        case {"examples": [first, *_]} | {"const": first} | {"enum": [first, *_]}:
            return first
        case {"$ref": str(reference)}:
            return example_of(schemas[_name(reference)], schemas)
        case {"anyOf": [first, *_]}:
            return example_of(first, schemas)
        case {"type": "array", "items": items}:
            return [example_of(items, schemas)]
        case {"type": "object", "properties": properties}:
            return {name: example_of(part, schemas) for name, part in properties.items()}
        case _:
            raise NoExampleError(schema)


def _describe(response: dict[str, Any], schemas: Schemas) -> None:
    for of_type in response.get("content", {}).values():
        schema = of_type.get("schema", {})
        if response["description"] == NO_DESCRIPTION and "$ref" in schema:
            response["description"] = schemas[_name(schema["$ref"])]["description"]
        try:
            of_type.setdefault("example", example_of(schema, schemas))
        except NoExampleError:
            continue


def _in_a_url(schema: Schema) -> Schema:
    """The schema of a parameter: what it is when it is there. Its description stands beside it already."""
    schema = {word: value for word, value in schema.items() if word not in {"title", "description"}}
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema = kinds[0] | schema
    elif kinds:
        schema["anyOf"] = kinds
    return schema


def _mark_all_as_there(schema: Schema) -> None:
    schema["required"] = list(schema["properties"])
    for part in schema["properties"].values():
        if "default" in part:
            part.setdefault("examples", [part.pop("default")])


def _drop_titles(schema: Schema) -> None:
    schema.pop("title", None)
    parts = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items")]
    for part in parts:
        if isinstance(part, dict):
            _drop_titles(part)


def _sent(document: dict[str, Any], schemas: Schemas) -> Iterator[str]:
    """The schemas of what callers send, in which a default is what counts when a field is not there."""
    waiting = [operation.get("requestBody") for path in document["paths"].values() for operation in path.values()]
    seen: set[str] = set()
    while waiting:
        for name in map(_name, _references(waiting.pop())):
            if name not in seen:
                seen.add(name)
                waiting.append(schemas[name])
                yield name


def _references(within: object) -> Iterator[str]:
    if isinstance(within, dict):
        if "$ref" in within:
            yield within["$ref"]
        within = list(within.values())
    if isinstance(within, list):
        for part in within:
            yield from _references(part)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
