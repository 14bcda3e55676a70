"""What is looked up in an OpenAPI document."""

from typing import Any

import jsonschema

Document = dict[str, Any]


def resolved(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    """What the schema refers to, or itself."""
    schemas: dict[str, dict[str, Any]] = document["components"]["schemas"]
    return schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def validator(document: Document, schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Of a schema of the document, which here lets no field through that is not in it."""
    schemas = {
        name: {**it, "unevaluatedProperties": False} if "properties" in it else it
        for name, it in document["components"]["schemas"].items()
    }
    return jsonschema.Draft202012Validator(
        {**schema, "components": {"schemas": schemas}},
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )
