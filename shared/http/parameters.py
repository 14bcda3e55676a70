"""Query parameters that a route does not have, or has once and got twice: refused, where FastAPI passes over them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastapi import Request, params
from fastapi._compat import field_annotation_is_sequence
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from shared.http.problems import BadFieldsError, FieldError

SHOWN_ERRORS = 10
SHOWN_CHARACTERS = 100
"""A URL can name thousands of parameters, and a parameter can be as long as a URL."""

Declared = Mapping[str, bool]
"""The names of a route's query parameters, and whether each is a list."""


class DeclaredParameters:
    """What routes take in their query, learnt from each one's signature when it is first called."""

    def __init__(self) -> None:
        self._of_endpoint: dict[Callable[..., Any], Declared] = {}

    def check(self, request: Request) -> None:
        """Raise `BadFieldsError` when a parameter is unknown to the request's route, or is no list and given twice."""
        given = request.query_params
        if not given:
            return
        declared = self._declared(request.scope["route"])
        if all(name in declared for name in given) and len(given.multi_items()) == len(given):
            return
        errors = list(_errors(given.multi_items(), declared))
        if errors:
            raise BadFieldsError(errors[:SHOWN_ERRORS])

    def _declared(self, route: APIRoute) -> Declared:
        declared = self._of_endpoint.get(route.endpoint)
        if declared is None:
            declared = self._of_endpoint[route.endpoint] = _declared_by(route)
        return declared


def _declared_by(route: APIRoute) -> Declared:
    return {
        field.alias: field_annotation_is_sequence(field.field_info.annotation)
        for field in get_flat_params(route.dependant)
        if not isinstance(field.field_info, params.Path | params.Header | params.Cookie)
    }


def _errors(given: list[tuple[str, str]], declared: Declared) -> Iterator[FieldError]:
    unknown = f"is no parameter of this route, which has {_series(list(declared))}"
    seen: set[str] = set()
    refused: set[str] = set()
    for name, _ in given:
        if name in refused:
            continue
        if name not in declared:
            refused.add(name)
            yield FieldError("query", name[:SHOWN_CHARACTERS], unknown)
        elif name in seen and not declared[name]:
            refused.add(name)
            yield FieldError("query", name, "may be given only once")
        seen.add(name)


def _series(names: list[str]) -> str:
    *others, last = names or ["none"]
    return f"{', '.join(others)} and {last}" if others else last
