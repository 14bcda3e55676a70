"""A tenant may ask so much in a time, and no tenant is held back by another."""

from uuid import UUID, uuid4

import pytest

from shared.http.rate_limit import SWEPT_FROM, RateLimit

TENANT = UUID("7f6c0000-0000-4000-8000-000000000001")


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("per_s", "burst"), [(200.0, 400), (1.0, 1), (3.0, 10), (0.5, 2), (1e6, 7)])
def test_a_burst_passes_and_then_so_many_a_second(per_s: float, burst: int) -> None:
    time = Time()
    limit = RateLimit(per_s=per_s, burst=burst, monotonic=time)
    assert [limit.take(TENANT) for _ in range(burst)] == [0.0] * burst
    wait_s = limit.take(TENANT)
    assert wait_s == pytest.approx(1 / per_s)
    assert limit.take(TENANT) == wait_s  # who is refused uses nothing up
    time.now += wait_s * 1.001
    assert limit.take(TENANT) == 0
    assert limit.take(TENANT) > 0
    time.now += (burst + 5) / per_s
    assert [limit.take(TENANT) == 0 for _ in range(burst + 1)] == [True] * burst + [False]


def test_one_tenant_does_not_use_up_the_share_of_another() -> None:
    limit = RateLimit(per_s=1, burst=1, monotonic=Time())
    assert [limit.take(TENANT) for _ in range(2)] == [0.0, 1.0]
    assert limit.take(uuid4()) == 0


def test_a_rate_of_0_is_no_limit() -> None:
    limit = RateLimit(per_s=0, burst=1, monotonic=Time())
    assert {limit.take(TENANT) for _ in range(1000)} == {0.0}
    assert len(limit) == 0


def test_what_is_kept_is_bounded_by_the_tenants_of_the_last_seconds() -> None:
    time = Time()
    limit = RateLimit(per_s=200, burst=400, monotonic=time)
    for _ in range(50 * SWEPT_FROM):
        time.now += 0.01
        assert limit.take(uuid4()) == 0
        assert len(limit) <= SWEPT_FROM
