"""When a decision stands for further solves."""

from __future__ import annotations

import math

import pytest

from sorlearn.tuning.repeat import BLIND, FEW, LONGEST, MOST_WARM_UP, Repeats

#: Nonzeros of small, middling and large matrices: solves of 40 µs, 10 ms and a second at ten iterations.
SMALL, MIDDLE, LARGE = 10**3, 4 * 10**5, 4 * 10**7


def decided(repeats, solves, nonzeros=SMALL, *, iterations=10, cost=1.0, omega=1.5):
    """Decide these solves one by one; returns how many could have repeated each decision."""
    plans = []
    for _ in range(solves):
        plans.append(repeats.plan(omega, nonzeros, True))
        repeats.decided(iterations, cost)
    return plans


def steady(nonzeros=SMALL):
    repeats = Repeats()
    decided(repeats, 2 * MOST_WARM_UP, nonzeros)
    return repeats


@pytest.mark.parametrize(("nonzeros", "most"), [(SMALL, LONGEST - 1), (MIDDLE, FEW), (LARGE, 0), (0, 0)])
def test_the_shorter_solves_are_the_more_repeat_a_decision(nonzeros, most):
    plans = decided(Repeats(), 2 * MOST_WARM_UP, nonzeros)
    assert plans[0] == 0
    assert plans[-1] == max(plans) and (most - 4 <= plans[-1] <= most)


def test_the_first_solves_are_decided_one_by_one():
    assert decided(Repeats(), 12, SMALL) == [0] * 12
    assert max(decided(Repeats(), MOST_WARM_UP, MIDDLE)) == 0


def test_an_omega_that_moves_is_decided_more_often():
    repeats = steady()
    plans = [repeats.plan(omega, SMALL, True) for omega in (1.5, 1.8, 1.5, 1.8, 1.5, 1.8, 1.5, 1.8, 1.5, 1.8)]
    assert plans == sorted(plans, reverse=True)
    assert plans[0] > 30 and plans[-1] == 0


def test_an_omega_that_has_followed_the_matrix_has_not_moved():
    repeats = steady()
    before = repeats.plan(1.5, SMALL, True)
    repeats.moved(1.8)
    assert repeats.plan(1.8, SMALL, True) >= before


def test_a_step_of_the_grid_is_no_reason_to_decide_more_often_and_none_for_less():
    repeats = steady()
    before = repeats.plan(1.5, SMALL, True)
    one_step = 2.0 / (1.0 + 1.1 * (2.0 / 1.5 - 1.0))
    assert repeats.plan(one_step, SMALL, True) == before
    assert repeats.stretch == LONGEST


def test_audits_say_nothing_of_how_alike_decisions_are():
    repeats = steady()
    before = repeats.plan(1.5, SMALL, True)
    assert repeats.plan(1.0, SMALL, False, audit=True) == 0
    assert repeats.plan(1.5, SMALL, True) >= before


def test_who_is_not_willing_repeats_nothing_but_the_next_may():
    repeats = steady()
    assert repeats.plan(1.5, SMALL, False) == repeats.left == 0
    assert repeats.plan(1.5, SMALL, True) > 0


@pytest.mark.parametrize(("cost", "repeated"), [(0.5, True), (1.0, True), (1.09, True), (1.2, False)])
def test_a_dearer_solve_calls_for_another_decision(cost, repeated):
    repeats = steady()
    repeats.plan(1.5, SMALL, True)
    repeats.decided(10, cost)
    assert (repeats.left > 0) is repeated


@pytest.mark.parametrize(("iterations", "goes_on"), [(100, True), (106, True), (94, True), (107, False), (93, False)])
def test_an_unlike_solve_ends_them(iterations, goes_on):
    repeats = Repeats()
    decided(repeats, 2 * MOST_WARM_UP, 10, iterations=100)
    left, stretch = repeats.left, repeats.stretch
    assert left > 2
    assert repeats.like(iterations) is goes_on
    repeats.repeated() if goes_on else repeats.end()
    assert repeats.left == (left - 1 if goes_on else 0)
    assert repeats.stretch == stretch * (1.0 if goes_on else 0.5)


def test_they_come_to_an_end():
    repeats = steady()
    for left in range(repeats.plan(1.5, SMALL, True), 0, -1):
        assert repeats.left == left
        repeats.repeated()
    assert repeats.left == 0


def test_an_omega_that_cannot_follow_the_matrix_stands_for_fewer_solves():
    repeats = steady()
    assert repeats.plan(1.5, SMALL, True) > BLIND
    for _ in range(BLIND):
        assert repeats.stands()
        repeats.repeated()
    assert not repeats.stands() and repeats.left > 0


def test_state_round_trip():
    repeats, again = steady(), Repeats()
    again.restore(repeats.state())
    assert decided(again, 20, omega=1.7) == decided(repeats, 20, omega=1.7)


@pytest.mark.parametrize("damage", [{"left": "x"}, {"stretch": math.nan}, {"u": math.inf}, {"cost": None}])
def test_damaged_state_is_refused(damage):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Repeats().restore({**Repeats().state(), **damage})
