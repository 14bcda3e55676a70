"""Query parameters that a route does not have, or has once and got twice: refused, where FastAPI passes over them."""

from collections.abc import Iterator, Mapping

from fastapi import Request, params
from fastapi._compat import field_annotation_is_sequence
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params

from shared.http.problems import BadFieldsError, FieldError

SHOWN_ERRORS = 10
SHOWN_CHARACTERS = 100
"""A URL can name thousands of parameters, and a parameter can be as long as a URL."""

Declared = Mapping[str, bool]
"""The names of a route's query parameters, and whether each is a list."""


class DeclaredParameters:
    """What routes take in their query, learnt from what is called for each when that is first met."""

    def __init__(self) -> None:
        # With the dependant beside them: while it is kept, no other can have its id.
        self._of_dependant: dict[int, tuple[Dependant, Declared]] = {}

    def check(self, request: Request) -> None:
        """Raise `BadFieldsError` when a parameter is unknown to the request's route, or is no list and given twice."""
        given = request.query_params
        if not given:
            return
        declared = self._declared(_dependant_of(request))
        if all(name in declared for name in given) and len(given.multi_items()) == len(given):
            return
        errors = list(_errors(given.multi_items(), declared))
        if errors:
            raise BadFieldsError(errors[:SHOWN_ERRORS])

    def _declared(self, dependant: Dependant) -> Declared:
        known = self._of_dependant.get(id(dependant))
        if known is None:
            known = self._of_dependant[id(dependant)] = (dependant, _declared_by(dependant))
        return known[1]


def _dependant_of(request: Request) -> Dependant:
    """What FastAPI calls for the request: the route with all that the routers around it and the application add.

    One route has several when its router is included several times; then the route itself does not say which.
    """
    route = request.scope["route"]
    included = request.scope.get("fastapi", {}).get("effective_route_context")
    is_included = included is not None and included.original_route is route
    dependant: Dependant = (included if is_included else route).dependant
    return dependant


def _declared_by(dependant: Dependant) -> Declared:
    return {
        field.alias: field_annotation_is_sequence(field.field_info.annotation)
        for field in get_flat_params(dependant)
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
