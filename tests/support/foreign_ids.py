"""Callers who ask for what is another's, and cursors that somebody changed."""

from dataclasses import dataclass

import httpx2

from tests.support.operations import Operation, Parameter, id_in, id_of_nothing
from tests.support.registry import Building


@dataclass(frozen=True)
class Caller:
    """Somebody who asks for what is in a building of theirs, and for what is not."""

    client: httpx2.AsyncClient
    headers: dict[str, str]
    building: Building

    async def answer(self, operation: Operation, parameter: Parameter, *ids: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body, the last id's place left open."""
        value = list(ids) if parameter.is_list else ids[-1]
        url = operation.url(operation.needed(self.building, beside=parameter.name) | {parameter.name: value})
        answer = await self.client.request(operation.method, url, headers=self.headers)
        told = {name: text for name, text in answer.headers.items() if name not in {"date", "content-length"}}
        return answer.status_code, told, answer.text.replace(ids[-1], "…")

    async def sees_nothing_of(self, foreign: Building, operation: Operation, parameter: Parameter) -> bool:
        """Whether an id of `foreign` gives the very answer of one that nobody has, and one's own another."""
        own, theirs, nobodys = (
            id_in(self.building, parameter.name),
            id_in(foreign, parameter.name),
            id_of_nothing(parameter),
        )
        found = await self.answer(operation, parameter, own)
        nothing = await self.answer(operation, parameter, nobodys)
        assert (found[0], nothing[0] in {200, 404}) == (200, True)
        assert found[2] != nothing[2]
        if parameter.is_list:
            beside = await self.answer(operation, parameter, own, nobodys)
            assert await self.answer(operation, parameter, own, theirs) == beside
        return await self.answer(operation, parameter, theirs) == nothing


def tampered(cursor: str) -> list[str]:
    def other(at: int) -> str:
        return cursor[:at] + ("B" if cursor[at] == "A" else "A") + cursor[at + 1 :]

    places = (0, len(cursor) // 2, len(cursor) - 1)
    return [*map(other, places), cursor[:-1], cursor[1:], f"{cursor}A", f"{cursor}=", cursor.swapcase(), cursor * 2]
