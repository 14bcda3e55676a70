"""The operations of a service as its OpenAPI document has them, for tests that go through them all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.support.registry import Building

Values = Mapping[str, str | list[str]]
"""What stands in the URL for each parameter, as it stands there: escaped where it must be."""


@dataclass(frozen=True)
class Parameter:
    name: str
    in_path: bool
    schema: dict[str, Any]
    """Of one value, where the parameter takes several."""
    is_list: bool

    @property
    def names_something(self) -> bool:
        return self.schema.get("format") == "uuid" or self.name.endswith(("_id", "_ids"))

    @property
    def is_text(self) -> bool:
        """Whether it is searched for, and could be what names something."""
        return (
            self.schema.get("type") == "string"
            and not self.schema.keys() & {"format", "enum"}
            and not (self.names_something or self.is_cursor)
        )

    @property
    def is_cursor(self) -> bool:
        return self.name == "cursor" or (self.name == "after" and not self.is_time)

    @property
    def is_time(self) -> bool:
        return self.schema.get("format") == "date-time"


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    required: frozenset[str]
    orders: tuple[Mapping[str, str], ...]
    """Each parameter and value that the list can be sorted by, or nothing where it has one order only."""
    has_body: bool

    @property
    def id(self) -> str:
        """What a test calls it."""
        return self.path if self.method == "GET" else f"{self.method} {self.path}"

    @property
    def takes_a_cursor(self) -> bool:
        return any(parameter.is_cursor for parameter in self.parameters)

    @property
    def cursor(self) -> str:
        """The name of the parameter that takes it."""
        return next(parameter.name for parameter in self.parameters if parameter.is_cursor)

    def url(self, values: Values) -> str:
        """The path with its query; a list is a parameter that is given several times."""
        query = [
            f"{parameter.name}={value}"
            for parameter in self.parameters
            if not parameter.in_path and parameter.name in values
            for value in _several(values[parameter.name])
        ]
        return self.path.format(**values) + ("?" + "&".join(query) if query else "")

    def needed(self, building: Building, *, beside: str = "") -> dict[str, str]:
        """What must be in the URL, about `building`, besides the parameter `beside`."""
        one_of = ALTERNATIVES.get(self.path, ())
        others = {*self.required, *(() if beside in one_of else one_of[:1])} - {beside}
        return {name: id_in(building, name) for name in others}


ALTERNATIVES = {"/readings": ("property_id", "installation_id", "unit_id", "medium")}
"""Parameters of which one must be there, by path: a document cannot say that."""


def id_in(building: Building, parameter: str) -> str:
    """The id in `building`, or another text that only it has, that stands in a URL for that parameter."""
    match parameter:
        case "q":
            return building.property_name.split()[-1]
        case "installation_id":
            return str(building.installation_ids[0])
        case "property_id" | "unit_id" | "gateway_id":
            return str(getattr(building, parameter))
        case _ if parameter in building.others:
            return str(building.others[parameter])
        case _:
            raise LookupError(f"say here what of a building a test is to put in the place of {parameter!r}")


def id_of_nothing(parameter: Parameter) -> str:
    """An id like those of the parameter, which nobody has."""
    return str(uuid4()) if parameter.schema.get("format") == "uuid" else f"GW-{uuid4().hex[:8]}"


def secured_operations(document: dict[str, Any]) -> Iterator[Operation]:
    """All that need a token."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation.get("security"):
                # What a header may say is said in the query too.
                parameters = [it for it in operation.get("parameters", []) if it["in"] != "header"]
                required = frozenset(it["name"] for it in parameters if it["required"])
                yield Operation(
                    method.upper(),
                    path,
                    tuple(map(_parameter, parameters)),
                    required,
                    tuple(_orders(document, parameters)),
                    "requestBody" in operation,
                )


def _parameter(described: dict[str, Any]) -> Parameter:
    schema, where = described["schema"], described["in"]
    assert where in {"path", "query"}, "say how tests are to set a cookie"
    is_list = schema.get("type") == "array"
    return Parameter(described["name"], where == "path", schema["items"] if is_list else schema, is_list)


def _orders(document: dict[str, Any], parameters: list[dict[str, Any]]) -> Iterator[Mapping[str, str]]:
    chosen = {it["name"]: it["schema"] for it in parameters if it["name"] in {"sort", "order"}}
    schemas = document["components"]["schemas"]
    for name, schema in chosen.items():
        for value in schemas[schema["$ref"].rpartition("/")[2]]["enum"]:
            yield {name: value}
    if not chosen:
        yield {}


def _several(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
