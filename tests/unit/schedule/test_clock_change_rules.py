"""Around clock changes our evaluator against a walk through every minute."""

from bisect import bisect_right
from datetime import timedelta

import pytest
from cron_oracles import (
    CHANGES,
    changes_and_expressions,
    minutes_around,
    policy_minutes,
    vixie_minutes,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croncord.schedule import POLICIES, compile_schedule

MINUTE_BY_MINUTE = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def ours(expression, zone, policy, walk, first):
    schedule = compile_schedule(expression.text, zone, policy, anchor=walk[0][0])
    after, until = walk[first][0], walk[-1][0]
    return schedule.between(after, until, 10_000)


@MINUTE_BY_MINUTE
@given(changes_and_expressions(), st.integers(0, 29 * 60))
def test_the_default_policy_is_vixie_crons_minute_loop(case, first):
    change, expression = case
    walk = minutes_around(*change)
    wanted = [at for at in vixie_minutes(expression, walk) if at > walk[first][0]]
    assert ours(expression, change[0], "cron", walk, first) == wanted


@MINUTE_BY_MINUTE
@given(
    changes_and_expressions(), st.sampled_from(["once", "skip", "every"]), st.integers(0, 29 * 60)
)
def test_the_other_policies_do_what_their_table_says(case, policy, first):
    change, expression = case
    walk = minutes_around(*change)
    wanted = [at for at in policy_minutes(policy, expression, walk) if at > walk[first][0]]
    assert ours(expression, change[0], policy, walk, first) == wanted


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c[0]} {c[1][:4]}")
@pytest.mark.parametrize("text", ["*/10 * * * *", "0-59/10 0-23 * * *", "7 */3 * * *"])
def test_asking_from_any_moment_around_a_change_continues_the_same_list(change, text):
    walk = minutes_around(*change)
    for policy in POLICIES:
        schedule = compile_schedule(text, change[0], policy, anchor=walk[0][0])
        whole = schedule.between(walk[0][0], walk[-1][0] + timedelta(days=1), 10_000)
        for at, _ in walk[::37]:
            for moment in (at, at + timedelta(seconds=59.5)):
                assert schedule.next(moment) == whole[bisect_right(whole, moment)]
