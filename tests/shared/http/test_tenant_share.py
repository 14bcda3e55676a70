"""A tenant uses so much at the same time, and who waits for its share holds back nobody else."""

import asyncio
from uuid import UUID, uuid4

import pytest

from shared.http.tenant_share import TenantBusyError, TenantShare

TENANT = UUID("7f6c0000-0000-4000-8000-000000000001")


async def holding(share: TenantShare, held: list[int], end: asyncio.Event, number: int) -> None:
    async with share.place(TENANT):
        held.append(number)
        await end.wait()


async def test_so_many_work_at_the_same_time_and_the_others_in_the_order_in_which_they_came() -> None:
    share, held, end = TenantShare(2, wait_s=60), list[int](), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(holding(share, held, end, number))
        await asyncio.sleep(0)
        assert held == [0, 1]
        async with share.place(uuid4()):
            assert len(share) == 2
        end.set()
    assert held == [0, 1, 2, 3, 4]
    assert len(share) == 0


async def test_who_waited_in_vain_is_told_to_try_again_and_takes_nothing_away() -> None:
    share = TenantShare(1, wait_s=0.01)
    async with share.place(TENANT):
        for _ in range(3):
            with pytest.raises(TenantBusyError, match="at the same time") as refusal:
                await share.place(TENANT).__aenter__()
            assert refusal.value.status_code == 429
            assert refusal.value.headers == {"Retry-After": "5"}
    async with share.place(TENANT):
        pass
    assert len(share) == 0


@pytest.mark.parametrize("leaves", [0, 1, 2], ids=["who has the place", "the next one", "the last one"])
async def test_whoever_leaves_gives_the_place_to_the_others(leaves: int) -> None:
    share, held, end = TenantShare(1, wait_s=60), list[int](), asyncio.Event()
    tasks = [asyncio.create_task(holding(share, held, end, number)) for number in range(3)]
    await asyncio.sleep(0)
    tasks[leaves].cancel()
    end.set()
    await asyncio.wait(tasks)
    assert held == [number for number in range(3) if number != leaves or number == 0]
    assert len(share) == 0


async def test_who_leaves_in_the_moment_in_which_a_place_becomes_free_passes_it_on() -> None:
    share, held, end = TenantShare(1, wait_s=60), list[int](), asyncio.Event()
    end.set()
    async with share.place(TENANT):
        tasks = [asyncio.create_task(holding(share, held, end, number)) for number in range(2)]
        await asyncio.sleep(0)
    tasks[0].cancel()  # it was given the place, and has not run since
    await asyncio.wait(tasks)
    assert held == [1]
    assert len(share) == 0


async def test_an_error_gives_the_place_back() -> None:
    share = TenantShare(1, wait_s=0.01)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with share.place(TENANT):
                raise ZeroDivisionError
