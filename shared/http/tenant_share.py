"""How much of something that all tenants share one of them may use at the same time: the rest of its requests wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from shared.http.problems import RETRY_AFTER_S, ProblemError


class TenantBusyError(ProblemError):
    """A request's tenant used its share of something for so long that the request waited in vain; a 429."""

    def __init__(self, what: str) -> None:
        retry_after = {"Retry-After": str(RETRY_AFTER_S)}
        super().__init__(429, f"Too many {what} of this tenant at the same time. Try again.", headers=retry_after)


class TenantShare:
    """`places` for each tenant; whoever finds none free waits in a line of the tenant's own, for `wait_s` at most.

    Only tenants with a request under way are kept. It counts for one process and one event loop. `what` are those who
    take the places, for whom is told that there are too many.
    """

    def __init__(self, places: int, *, wait_s: float, what: str = "requests") -> None:
        self._places = places
        self._wait_s = wait_s
        self._what = what
        self._tenants: dict[UUID, _Tenant] = {}

    def __len__(self) -> int:
        """How many tenants are kept."""
        return len(self._tenants)

    @asynccontextmanager
    async def place(self, tenant_id: UUID) -> AsyncIterator[None]:
        """A place of the tenant's while it lasts; raises `TenantBusyError`. Who is cancelled gives it back."""
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = self._tenants[tenant_id] = _Tenant(self._places)
        tenant.requests += 1
        try:
            await self._wait_for_place(tenant)
            try:
                yield
            finally:
                tenant.free.release()
        finally:
            tenant.requests -= 1
            if not tenant.requests:
                del self._tenants[tenant_id]

    async def _wait_for_place(self, tenant: "_Tenant") -> None:
        if not tenant.free.locked():
            await tenant.free.acquire()  # at once, without the cost of a timer
            return
        try:
            async with asyncio.timeout(self._wait_s):
                await tenant.free.acquire()
        except TimeoutError:
            raise TenantBusyError(self._what) from None


class _Tenant:
    """The free places of a tenant, and how many of its requests have one or wait for one."""

    __slots__ = ("free", "requests")

    def __init__(self, places: int) -> None:
        self.free = asyncio.Semaphore(places)
        self.requests = 0
