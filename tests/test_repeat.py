"""When a decision stands for further solves."""

from __future__ import annotations

import math

import pytest

from sorlearn.tuning import repeat
from sorlearn.tuning.repeat import (
    BLIND,
    CALLBACK,
    DECISION,
    FEW,
    LONGEST,
    MOST_WARM_UP,
    NONZERO,
    UNLIKE,
    WARY,
    WIDEST,
    Repeats,
)

#: Nonzeros of small, middling and large matrices: solves of 40 µs, 20 ms and a second at ten iterations.
SMALL, MIDDLE, LARGE = 500, 8 * 10**5, 4 * 10**7


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


@pytest.mark.parametrize(("excess", "most"), [(0.0, LONGEST - 1), (0.05, 0)])
def test_a_step_of_the_grid_that_gains_nothing_is_none(excess, most):
    repeats, one_step = Repeats(), 2.0 / (1.0 + 1.1 * (2.0 / 1.5 - 1.0))
    decided(repeats, 12)
    plans = []
    for omega in (1.5, one_step) * 12:
        plans.append(repeats.plan(omega, SMALL, True, excess=lambda: excess))
        repeats.decided(10, 1.0)
    assert plans == sorted(plans) and plans[-1] == most


def test_two_steps_are_none_for_less_often():
    repeats = steady()
    before = repeats.plan(1.5, SMALL, True)
    assert repeats.plan(2.0 / (1.0 + 1.2 * (2.0 / 1.5 - 1.0)), SMALL, True) == before
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
@pytest.mark.parametrize(("omega", "iterations"), [(1.6, 10), (1.5, 14)])
def test_a_dearer_solve_calls_for_another_decision(cost, repeated, omega, iterations):
    repeats = steady()
    repeats.plan(omega, SMALL, True)
    repeats.decided(iterations, cost)
    assert (repeats.left > 0) is repeated


def test_where_omega_and_iterations_are_as_before_it_is_no_dearer():
    repeats = steady()
    repeats.plan(1.5, SMALL, True)
    repeats.decided(11, 1.2)
    assert repeats.left > 0


@pytest.mark.parametrize(("cost", "repeated"), [(1.4, True), (2.0, False)])
def test_after_an_unlike_solve_the_next_decision_may_be_as_much_dearer(cost, repeated):
    repeats = steady()
    repeats.plan(1.5, SMALL, True)
    repeats.decided(10, 1.0)
    repeats.end(14)
    repeats.plan(1.5, SMALL, True)
    repeats.decided(14, cost)
    assert (repeats.left > 0) is repeated


def test_where_there_is_nothing_to_learn_only_iterations_count():
    repeats, plans = Repeats(), []
    for iterations, cost in [(1, 1.0), (2, 1.5), (3, 2.0), (2, 2.0), (3, 3.0), (2, 3.0), (3, 5.0), (1, 9.0), (2, 9.0)]:
        plans.append(repeats.plan(1.0, SMALL, True, few=3.0))
        repeats.decided(iterations, cost)
        assert repeats.left == plans[-1] and [repeats.like(n) for n in (0, 3, 4)] == [True, True, False]
    assert plans == sorted(plans) and plans[1] > 0 and plans[-1] == LONGEST - 1
    assert repeats.patience == 0
    repeats.plan(1.0, SMALL, True, few=3.0)
    repeats.decided(4, 9.0)
    assert repeats.left == 0


@pytest.mark.parametrize(("iterations", "goes_on"), [(100, True), (106, True), (94, True), (107, False), (93, False)])
def test_an_unlike_solve_ends_them(iterations, goes_on):
    repeats = Repeats()
    decided(repeats, 2 * MOST_WARM_UP, 10, iterations=100)
    left = repeats.left
    assert left > 2
    assert repeats.like(iterations) is goes_on
    repeats.repeated() if goes_on else repeats.end(iterations)
    assert repeats.left == (left - 1 if goes_on else 0)


@pytest.mark.parametrize(("nonzeros", "excess", "longer", "width"), [
    (SMALL, 0.0, 1.5, WIDEST),  # a decision takes more than what unlike solves lose
    (SMALL, 0.02, 0.5, UNLIKE),
    (LARGE, 0.0, 1.5, UNLIKE),  # hardly anything
])  # fmt: skip
def test_unlike_solves_that_lose_little_end_them_less_often(nonzeros, excess, longer, width):
    repeats, further = Repeats(), 2.0 / (1.0 + 1.3 * (2.0 / 1.5 - 1.0))
    decided(repeats, MOST_WARM_UP + 2, nonzeros, iterations=100)
    for omega in (further, 1.5) * 4:
        stretch = repeats.stretch
        repeats.end(120)
        repeats.plan(omega, nonzeros, True, excess=lambda: excess)
        repeats.decided(100, 1.0)
        assert repeats.stretch == min(max(longer * stretch, 1.0), LONGEST)
    assert repeats.most == 101.0 + 100.0 * repeats.width == 101.0 + 100.0 * width


@pytest.mark.parametrize(("nonzeros", "stretch"), [(SMALL, LONGEST), (LARGE, 1.0)])
def test_what_staying_would_lose_is_weighed_against_decisions(nonzeros, stretch):
    """0.9 % of a solve is little where a decision takes ten solves, and much where it takes a thousandth of one."""
    repeats = Repeats()
    decided(repeats, MOST_WARM_UP)
    for omega in (1.5, 1.7) * 12:
        repeats.plan(omega, nonzeros, True, excess=lambda: 0.009)
        repeats.decided(10, 1.0)
    assert repeats.stretch == stretch


@pytest.mark.parametrize(("rise", "least", "most"), [(0.0, 9, 11), (0.2, 9, 14), (-0.2, 7, 11)])
def test_iterations_may_rise_and_fall_while_omega_follows(rise, least, most):
    repeats = steady()
    repeats.plan(1.5, SMALL, True)
    repeats.decided(10, 1.0)
    assert [n for n in range(30) if repeats.like(n, rise)] == list(range(least, most + 1))


def test_they_may_so_once_decisions_have_long_been_alike():
    repeats = Repeats()
    assert repeats.rate == 0.0
    decided(repeats, 2 * MOST_WARM_UP, 10)
    assert repeats.stretch >= repeat.TRUSTED and repeats.rate == repeat.RATE
    for omega in (1.8, 1.5) * 4:
        assert (repeats.rate == repeat.RATE) is (repeats.stretch >= repeat.TRUSTED)
        repeats.end(20)
        repeats.plan(omega, 10, True)
    assert repeats.rate == 0.0


def test_what_comes_between_the_repeats_of_short_solves_is_dear():
    assert Repeats().price == 1.0
    prices = [steady(nonzeros).price for nonzeros in (LARGE, MIDDLE, SMALL)]
    assert 1.0 < prices[0] < 1.01 < prices[1] < 1.1 < 10.0 < prices[2]


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


@pytest.mark.parametrize(("iterations", "strange"), [(13, False), (14, True), (9, False), (7, True)])
def test_after_a_strange_solve_every_matrix_that_omega_cannot_follow_is_decided_for_a_while(iterations, strange):
    """Its matrix is another kind's, among others that are alike; the decision is taken for no longer than before."""
    repeats, waits = steady(), []
    for _ in range(2):
        repeats.plan(1.5, SMALL, True)
        repeats.decided(10, 1.0)
        stretch = repeats.stretch
        repeats.end(iterations)
        waits.append(0)
        while repeats.plan(1.5, SMALL, True) and not repeats.stands():
            repeats.decided(10, 1.0)
            waits[-1] += 1
            assert waits[-1] > 1 or repeats.stretch == (0.5 * stretch if strange else stretch)
    assert waits == ([WARY, 2 * WARY] if strange else [0, 0])


def test_state_round_trip():
    repeats, again = steady(), Repeats()
    repeats.end(30)
    again.restore(repeats.state())
    assert again.wary == WARY
    assert decided(again, 20, omega=1.7) == decided(repeats, 20, omega=1.7)


def test_a_state_of_before_there_was_anything_strange_is_one():
    old = steady().state()
    for name in ("strange", "wary", "backoff"):
        del old[name]
    again = Repeats()
    again.restore(old)
    assert again.plan(1.5, SMALL, True) > 0


@pytest.mark.parametrize("damage", [{"left": "x"}, {"stretch": math.nan}, {"u": math.inf}, {"cost": None},
                                    {"dearness": 0.0}])  # fmt: skip
def test_damaged_state_is_refused(damage):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Repeats().restore({**Repeats().state(), **damage})


def expected(iterations, nonzeros):
    return 5e-6 + (iterations + 1) * (CALLBACK + NONZERO * nonzeros)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6, 1.0, 1.8, 3.0, 10.0])
@pytest.mark.parametrize("slower", [0.3, 1.0, 4.0])
def test_what_deciding_takes_is_measured_to_a_power_of_two(ratio, slower):
    repeats, reckoned = Repeats(), decided(Repeats(), 300, MIDDLE // 4)[-1]
    for _ in range(300):
        repeats.plan(1.5, MIDDLE // 4, True)
        repeats.decided(10, 1.0, ratio * slower * DECISION, slower * expected(10, MIDDLE // 4))
    assert math.log2(repeats.dearness).is_integer()
    assert repeats.dearness == 1.0 if 0.5 < ratio < 2.0 else 0.5 < repeats.dearness / ratio < 2.0
    assert repeats.plan(1.5, MIDDLE // 4, True) == pytest.approx(max(repeats.dearness * reckoned, FEW), abs=2)


def test_a_clock_that_was_disturbed_once_changes_nothing():
    repeats = Repeats()
    for solve in range(100):
        repeats.plan(1.5, MIDDLE, True)
        repeats.decided(10, 1.0, DECISION * (100 if solve == 50 else 1), expected(10, MIDDLE))
    assert repeats.dearness == 1.0
    repeats.decided(10, 1.0)
    assert repeats.measurements == 100
