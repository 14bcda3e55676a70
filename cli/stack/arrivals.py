"""Whether readings arrive, as somebody outside sees it: read back through the API with a token."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from cli.stack.errors import StackError
from cli.stack.processes import last_complaint

TIMEOUT_S = 90
POLL_S = 0.5
PAGE = 1000


@dataclass(frozen=True)
class Arrivals:
    """What the API shows of a tenant: `readings` arrived since a moment, among the newest 1,000 of each installation.

    `never_seen` are the serials of those that were never heard; `newest` is when a meter last showed something.
    """

    readings: int
    installations: int
    never_seen: tuple[str, ...]
    newest: datetime | None


def wait_for_arrivals(query_url: str, token: str, *, since: datetime | None, log: Path) -> Arrivals:
    """Wait until a reading that arrived after `since` (None: at any time) can be read.

    `StackError` when none can in time, with the last complaint in `log`, the simulator's.
    """
    give_up_at = time.monotonic() + TIMEOUT_S
    with httpx2.Client(
        base_url=query_url, headers={"Authorization": f"Bearer {token}"}, timeout=10, trust_env=False
    ) as client:
        while not (arrivals := _look(client, since)).readings:
            if time.monotonic() > give_up_at:
                raise StackError(
                    f"no reading arrived within {TIMEOUT_S} s; the simulator says: {last_complaint(log)} (log: {log})"
                )
            time.sleep(POLL_S)
    return arrivals


def _look(client: httpx2.Client, since: datetime | None) -> Arrivals:
    installations = list(_installations(client))
    heard = [it for it in installations if it["latest_reading"] is not None]
    return Arrivals(
        readings=sum(_arrived(client, it["id"], since) for it in heard),
        installations=len(installations),
        never_seen=tuple(it["meter_serial"] for it in installations if it["latest_reading"] is None),
        newest=max((datetime.fromisoformat(it["latest_reading"]["timestamp"]) for it in heard), default=None),
    )


def _installations(client: httpx2.Client) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = _get(client, "/installations", {"limit": PAGE} | ({"cursor": cursor} if cursor else {}))
        yield from page["items"]
        if not page["has_next"]:
            return
        cursor = page["next_cursor"]


def _arrived(client: httpx2.Client, installation_id: str, since: datetime | None) -> int:
    page = _get(client, "/readings", {"installation_id": installation_id, "limit": PAGE})
    return sum(since is None or datetime.fromisoformat(it["received_at"]) >= since for it in page["items"])


def _get(client: httpx2.Client, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = client.get(path, params=parameters)
    except httpx2.TransportError as error:
        raise StackError(f"query does not answer at {client.base_url}: {error}") from error
    if not answer.is_success:
        raise StackError(f"query answered {answer.status_code} to {path}: {answer.text[:200]}")
    body: dict[str, Any] = answer.json()
    return body
