"""A route that reads a good request in a short way; what is wrong with any other is FastAPI's to say.

FastAPI looks at every parameter that a route has, given or not, and asks each time anew what it is: some 9 µs each, so
that reading the parameters of a page takes longer than answering it (docs/performance.md). Here that is asked once.
"""

import inspect
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi._compat import ModelField, field_annotation_is_sequence
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from typing_extensions import override

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Values = dict[str, Any]
"""Arguments by name."""


class SwiftRoute(APIRoute):
    """For routes with parameters in path and query, whose dependencies are quick and whose endpoint is a coroutine.

    It answers a `Response` itself. A request of which anything is missing, unknown, given too often or not valid goes
    FastAPI's way from its beginning, before anything was called; so does every request to a route of another kind.
    """

    @override
    def get_route_handler(self) -> Handler:
        careful = super().get_route_handler()
        calls = list(_calls_of(self.dependant))
        if not all(map(_is_simple, calls)) or not _answers_itself(self.endpoint):
            return careful
        readers = [_Reader.of(call) for call in calls]
        known = {name for reader in readers for name in reader.query}

        async def handle(request: Request) -> Response:
            given: dict[str, list[str]] = {}
            for name, text in request.query_params.multi_items():
                given.setdefault(name, []).append(text)
            arguments = [reader.read(request, given) for reader in readers] if given.keys() <= known else [None]
            if None in arguments:
                return await careful(request)
            return await _call_all(calls, [values for values in arguments if values is not None])

        return handle


def _calls_of(dependant: Dependant) -> Iterator[Dependant]:
    """What is called for a request, in FastAPI's order: what a call depends on before it, the endpoint last."""
    for one in dependant.dependencies:
        yield from _calls_of(one)
    yield dependant


def _is_simple(call: Dependant) -> bool:
    others = (
        call.header_params,
        call.cookie_params,
        call.body_params,
        call.http_connection_param_name,
        call.response_param_name,
        call.background_tasks_param_name,
        call.security_scopes_param_name,
        call.concurrency,
    )
    return not any(others) and not inspect.isgeneratorfunction(call.call) and not inspect.isasyncgenfunction(call.call)


def _answers_itself(endpoint: Callable[..., Any]) -> bool:
    answer = inspect.signature(endpoint).return_annotation
    return inspect.iscoroutinefunction(endpoint) and isinstance(answer, type) and issubclass(answer, Response)


@dataclass(frozen=True)
class _Parameter:
    name: str
    field: ModelField
    is_list: bool


@dataclass(frozen=True)
class _Reader:
    """Reads one call's own arguments out of a request."""

    request_name: str | None
    path: dict[str, _Parameter]
    query: dict[str, _Parameter]
    required: frozenset[str]
    constants: Values
    makers: dict[str, Callable[[], Any]]
    """What makes the value of those that are not given, where it may be changed by who gets it."""

    @classmethod
    def of(cls, call: Dependant) -> "_Reader":
        optional = [field for field in call.query_params if not field.field_info.is_required()]
        lasting = [field for field in optional if field.field_info.default.__hash__ is not None]
        return cls(
            request_name=call.request_param_name,
            path=_parameters(call.path_params),
            query=_parameters(call.query_params),
            required=frozenset(field.alias for field in call.query_params if field not in optional),
            constants={field.name: field.default for field in lasting if field.field_info.default_factory is None},
            makers={
                field.name: field.get_default
                for field in optional
                if field not in lasting or field.field_info.default_factory is not None
            },
        )

    def read(self, request: Request, given: dict[str, list[str]]) -> Values | None:
        """The arguments, or None where they are not all there and good; what others take is passed over."""
        if not self.required <= given.keys():
            return None
        values = dict(self.constants)
        for name, make in self.makers.items():
            values[name] = make()
        texts = [(self.query[alias], value) for alias, value in given.items() if alias in self.query]
        texts += [(parameter, [request.path_params[alias]]) for alias, parameter in self.path.items()]
        for parameter, value in texts:
            if len(value) > 1 and not parameter.is_list:
                return None
            values[parameter.name], errors = parameter.field.validate(value if parameter.is_list else value[0])
            if errors:
                return None
        if self.request_name is not None:
            values[self.request_name] = request
        return values


def _parameters(fields: Sequence[ModelField]) -> dict[str, _Parameter]:
    return {
        field.alias: _Parameter(field.name, field, field_annotation_is_sequence(field.field_info.annotation))
        for field in fields
    }


async def _call_all(calls: Sequence[Dependant], arguments: Sequence[Values]) -> Response:
    """Call each with its arguments and with what its dependencies gave; what the last one gave."""
    results: dict[int, Any] = {}
    result: Any = None
    for call, values in zip(calls, arguments, strict=True):
        for one in call.dependencies:
            if one.name is not None:
                values[one.name] = results[id(one)]
        assert call.call is not None  # noqa: S101 - FastAPI's type leaves it open for a dependant that is being built
        result = call.call(**values)
        if inspect.isawaitable(result):
            result = await result
        results[id(call)] = result
    return result  # type: ignore[no-any-return] # looked at when the route was made
