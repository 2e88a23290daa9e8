"""How much tolerances are tightened, what is measured, and which answers are gone on with: by tables of cases."""

from __future__ import annotations

from math import inf, nan

import pytest

from sorlearn.tuning import accuracy as rule
from sorlearn.tuning.accuracy import CHECK_WORK, FIRST, HOPELESS, KEPT, SHARE, Accuracy, shortfall
from sorlearn.tuning.bins import bin_of, omega_of
from sorlearn.tuning.record import Verdict

PASSES = -0.2


def verdict(relative=0.0, lacks=PASSES, absolute=None, true=None):
    """An answer whose true residual is no surprise at a level of −0.5 at the safe ω."""
    return Verdict(
        lacks, relative, relative if absolute is None else absolute, relative - 0.5 if true is None else true
    )


def seen(*values, safe=1.0, levels=3):
    """Accuracy that has seen these pairs of ω and `Verdict`, after so many solves at the safe ω."""
    accuracy = Accuracy(safe)
    for omega, what in [(safe, verdict())] * levels + list(values):
        accuracy.note(omega, what)
    return accuracy


def drain(accuracy, omega=1.6):
    """Measure until no measurement is due."""
    while accuracy.due(omega):
        accuracy.note(omega, verdict(0.1))


@pytest.mark.parametrize(("lacks", "true", "relative", "level", "digits"), [
    (-0.5, 0.0, 0.0, 0.0, None),  # passes
    (0.15, 0.0, 0.0, 0.0, None),  # fails by less than a factor of 1.5
    (0.4, 0.4, 0.4, 0.0, 0.0),  # fails by more: on to the user's tolerance
    (-0.5, 0.4, 0.0, 0.0, None),  # passes, and so clearly that a worse true residual is within the test, too
    (-0.1, 0.8, 0.0, 0.0, 0.8),  # the true residual is worse by more than the tests explain
    (-0.1, 0.8, 0.4, 0.0, None),  # explained by the tests
    (0.4, 0.9, 0.0, nan, 0.0),  # nothing is known of true residuals at the safe ω
])  # fmt: skip
def test_an_answer_that_fails_the_test_is_gone_on_with(lacks, true, relative, level, digits):
    assert shortfall(Verdict(lacks, relative, relative, true), level) == digits


def test_nothing_is_tightened_before_anything_is_known():
    assert Accuracy(1.0).tightening(1.6) == (0.0, 0.0)


def test_the_safe_omega_is_never_tightened_nor_dropped():
    accuracy = seen((1.0, verdict(relative=5.0)), (1.8, verdict(relative=5.0)))
    assert accuracy.tightening(1.0) == (0.0, 0.0)
    assert not accuracy.hopeless(1.0, verdict(relative=5.0)) and accuracy.hopeless(1.8, verdict())


@pytest.mark.parametrize(("relative", "absolute", "expected"), [
    (0.4, 0.4, (0.4, 0.4)), (0.4, 0.1, (0.4, 0.1)), (-0.4, 0.2, (0.0, 0.2)), (-0.4, -0.4, (0.0, 0.0)),
])  # fmt: skip
def test_tightened_by_what_the_tests_are_apart_and_never_loosened(relative, absolute, expected):
    accuracy = seen((1.6, verdict(relative, absolute=absolute)))
    assert accuracy.tightening(1.6) == pytest.approx(expected)


def test_between_measured_omegas_the_mean_is_interpolated():
    accuracy = seen((1.2, verdict(0.2)), (1.8, verdict(0.8)))
    tightenings = [accuracy.tightening(omega)[0] for omega in (1.1, 1.2, 1.4, 1.6, 1.8, 1.9)]
    assert tightenings == sorted(tightenings)
    assert tightenings[:2] == pytest.approx([0.2, 0.2]) and tightenings[-2:] == pytest.approx([0.8, 0.8])


def test_one_surprise_moves_the_mean_by_little():
    accuracy = seen(*[(1.6, verdict(0.2))] * 20)
    accuracy.note(1.6, verdict(relative=9.0))
    assert 0.2 < accuracy.relative.at(bin_of(1.6)) <= 0.3 + 1e-12


@pytest.mark.parametrize(("surprise", "relative", "levels", "tightened"), [
    (0.5, 0.0, 1, 0.5 - rule.LONGER),
    (0.5, 0.0, 1000, 0.5 - rule.LONGER),
    (0.5, 0.2, 1, 0.5 - rule.LONGER),  # the tests explain a part of it
    (0.5, 0.7, 1, 0.7),  # or all
    (0.5 * rule.LONGER, 0.0, 1, 0.0),  # longer steps make up for it
    (0.8, 0.0, 0, 0.0),  # nothing to compare with
])  # fmt: skip
def test_true_residuals_worse_than_the_safe_omegas_count(surprise, relative, levels, tightened):
    accuracy = seen((1.6, verdict(relative, true=surprise - 0.5)), levels=levels)
    assert accuracy.tightening(1.6)[0] == pytest.approx(tightened, abs=1e-3)


def test_true_residuals_are_compared_with_the_safe_omegas_of_late():
    accuracy = seen((1.6, verdict(0.0, true=0.5)))
    for _ in range(30):
        accuracy.note(1.0, verdict(true=0.2))
    assert accuracy.tightening(1.6)[0] == pytest.approx(0.3 - rule.LONGER, abs=0.01)


def test_answers_that_scatter_get_a_reserve():
    calm, wild = (
        seen(*[(1.6, verdict(0.2, lacks=sign * swing - 0.1)) for sign in (-1, 1)] * 30) for swing in (0.02, 0.6)
    )
    assert calm.tightening(1.6)[0] == pytest.approx(0.2)
    assert wild.tightening(1.6)[0] > 0.21


def test_an_omega_between_two_measured_ones_needs_no_measurement_of_its_own():
    accuracy = seen((omega_of(40), verdict(0.1)), (omega_of(44), verdict(0.1)))
    drain(accuracy, omega_of(40))
    assert not accuracy.due(omega_of(42))
    assert accuracy.due(omega_of(48))


@pytest.mark.parametrize(("relative", "true", "dropped"), [
    (HOPELESS - 0.1, -0.5, False), (HOPELESS + 0.1, -0.5, True), (0.0, HOPELESS, True), (-3.0, -3.5, False),
])  # fmt: skip
def test_an_omega_that_loses_two_decades_is_dropped(relative, true, dropped):
    last = verdict(relative, true=true)
    assert seen((1.9, last)).hopeless(1.9, last) is dropped


def test_what_is_forgotten_is_measured_again():
    accuracy = seen((1.9, verdict(5.0)), (1.2, verdict(0.1)))
    accuracy.forget(1.9)
    assert not accuracy.hopeless(1.9, verdict(0.1)) and accuracy.due(1.9)


def test_the_first_solve_of_every_omega_is_measured():
    accuracy = seen()
    assert accuracy.due(1.6)
    drain(accuracy)
    assert not accuracy.due(1.6) and not accuracy.due(1.605)
    assert accuracy.due(1.9)


def test_solves_at_the_safe_omega_are_measured_a_few_solves_apart():
    accuracy = Accuracy(1.0)
    for _ in range(int(KEPT)):
        assert accuracy.due(1.0)
        accuracy.note(1.0, verdict())
        accuracy.earn(0)
        assert not accuracy.due(1.0)
        for _ in range(int(rule.APART)):
            accuracy.earn(0)
    assert accuracy.level == -0.5


def test_credit_is_earned_before_it_is_spent():
    accuracy, checks, work = Accuracy(1.0), 0, 0
    for t in range(20000):
        omega = 1.0 if t % 3 == 0 else 1.4 + 0.4 * (t % 5) / 5
        if accuracy.due(omega):
            checks += 1
            accuracy.note(omega, verdict(0.1))
        accuracy.earn(10)
        work += 11
    assert 0.5 * SHARE * work < checks * CHECK_WORK < SHARE * work + (2 * FIRST + 5) * CHECK_WORK


def test_credit_is_not_hoarded_nor_overdrawn_without_end():
    accuracy = seen((1.6, verdict(0.1)))
    accuracy.earn(10**6)
    planned = 0
    while accuracy.due(1.6):
        planned += 1
        accuracy.note(1.6, verdict(0.1))
    assert planned <= KEPT
    while accuracy.affords:
        accuracy.note(1.6, verdict(0.1), planned=False)
    assert -KEPT * CHECK_WORK - CHECK_WORK <= accuracy.credit <= 0.0


def test_what_was_not_planned_teaches_nothing_unless_it_failed():
    accuracy = seen((1.6, verdict(0.1)))
    before = accuracy.tightening(1.6)
    accuracy.note(1.6, verdict(relative=1.9), planned=False)
    assert accuracy.tightening(1.6) == before
    accuracy.note(1.6, verdict(relative=0.5, lacks=0.4), planned=False)
    assert accuracy.tightening(1.6) > before


@pytest.mark.parametrize("planned", [True, False])
def test_after_an_answer_that_failed_the_next_is_measured_whatever_that_takes(planned):
    accuracy = seen((1.3, verdict(0.1)), (1.6, verdict(0.1)))
    drain(accuracy)
    while accuracy.affords:
        accuracy.note(1.6, verdict(0.1), planned=False)
    assert not accuracy.due(1.3)
    accuracy.note(1.6, verdict(relative=0.5, lacks=0.4), planned=planned)
    again = Accuracy(1.0)
    again.restore(accuracy.state())
    assert accuracy.due(1.3) and again.due(1.3) and not accuracy.due(1.0)
    accuracy.note(1.3, verdict(0.1))
    assert not accuracy.due(1.3)


def test_state_round_trip():
    accuracy, again = seen((1.2, verdict(0.3)), (1.7, verdict(0.6))), Accuracy(1.0)
    again.restore(accuracy.state())
    for which in (accuracy, again):
        which.note(1.7, verdict(0.1))
        which.earn(30)
    assert repr(again.state()) == repr(accuracy.state())
    assert again.tightening(1.6) == accuracy.tightening(1.6)


def test_staying_at_the_safe_omega_is_not_measured_again_and_again():
    accuracy, checks = Accuracy(1.0), 0
    for _ in range(1000):
        if accuracy.due(1.0):
            checks += 1
            accuracy.note(1.0, verdict())
        accuracy.earn(9)
    assert checks * CHECK_WORK <= SHARE * 10000 + FIRST * CHECK_WORK


@pytest.mark.parametrize("damage", [{"level": inf}, {"credit": nan}, {"relative": [0.0]}, {"checks": "none"}])
def test_damaged_state_is_refused(damage):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Accuracy(1.0).restore({**seen().state(), **damage})

