"""Slowing down who guesses."""

from datetime import UTC, datetime

import pytest

from croncord.clock import ManualClock
from croncord.service.throttle import KEYS_MAX, Throttle, Throttled


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 24, tzinfo=UTC))


async def test_the_wait_doubles_up_to_five_minutes(clock):
    throttle = Throttle(clock)
    waits = []
    for _ in range(20):
        throttle.attempt("a")
        try:
            throttle.attempt("a")
        except Throttled as refused:
            waits.append(refused.retry_after_seconds)
            await clock.advance(refused.retry_after_seconds)
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == 300


def test_success_forgets_the_failures(clock):
    throttle = Throttle(clock)
    for _ in range(50):
        throttle.attempt("a", "b")
        throttle.succeeded("a", "b")


def test_parallel_attempts_are_counted_before_they_are_checked(clock):
    throttle = Throttle(clock)
    refused = 0
    for _ in range(20):
        try:
            throttle.attempt("a")
        except Throttled:
            refused += 1
    assert refused == 15


def test_a_million_keys_do_not_fill_the_memory(clock):
    throttle = Throttle(clock)
    for n in range(KEYS_MAX + 100):
        throttle.attempt(f"address:{n}")
    assert len(throttle._failures) == KEYS_MAX
