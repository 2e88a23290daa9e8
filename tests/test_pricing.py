"""What iterations cost in a run, and the losses that are made with it: no PETSc."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorlearn.learners import NO_CONTEXT, Choice, learner_class
from sorlearn.tuning.asking import ask
from sorlearn.tuning.baseline import Baseline
from sorlearn.tuning.decision import Decision
from sorlearn.tuning.pricing import LEAST_PRICE, MOST_PRICE, PRICE, Price, Pricing, Steady
from sorlearn.tuning.record import Outcome, Solve
from sorlearn.tuning.vetoes import Vetoes


def price_of(one, other, solves=8, iterations=9):
    """Of an iteration elsewhere, where one takes so many seconds at ω = 1 and elsewhere."""
    price = Price()
    for _ in range(solves):
        price.note(1.0, iterations, one * (iterations + 1))
        price.note(1.6, iterations, other * (iterations + 1))
    return price(1.6)


@pytest.mark.parametrize(("one", "other", "price"), [
    (1e-4, 1.3e-4, 1.3), (1e-4, 1.34e-4, 1.3), (1e-4, 1e-4, 1.0), (1e-4, 0.5e-4, LEAST_PRICE), (1e-4, 9e-4, MOST_PRICE),
])  # fmt: skip
def test_faster_kernels_have_the_price_that_is_measured(one, other, price):
    assert price_of(one, other) == price


def test_the_price_is_a_guess_until_it_has_been_measured():
    assert Price()(1.6) == price_of(1e-4, 1.7e-4, solves=2) == PRICE
    assert Price()(1.0) == 1.0


def test_what_else_the_machine_does_hardly_moves_the_price():
    price, rng = Price(), np.random.default_rng(0)
    for _ in range(200):
        disturbed = 10.0 if rng.random() < 0.3 else 1.0
        price.note(1.0, 9, 1e-3 * disturbed)
        price.note(1.6, 9, 1.4e-3 * disturbed)
    assert price(1.6) == pytest.approx(1.4, abs=0.11)


def solve(iterations, seconds, **flags):
    return Solve(Outcome(iterations, 2, **flags), seconds=seconds, inodes=True)


def priced(cost="work"):
    """Where an iteration elsewhere has taken 1.5 times as long as at ω = 1."""
    pricing = Pricing(cost)
    for _ in range(8):
        pricing.note(1.0, solve(9, 1e-2))
        pricing.note(1.6, solve(9, 1.5e-2))
    return pricing


def test_losses_have_the_price_in_them_where_the_matrix_has_inodes():
    pricing, decision = priced(), Decision(1.6, 1.0)
    plain = pricing.loss(decision, solve(9, 1.0)._replace(inodes=False))
    assert pricing.elsewhere == 1.0
    assert pricing.loss(decision, solve(9, 1.0)) == pytest.approx(1.5 * plain)
    assert pricing.elsewhere == 1.5


def test_what_a_repair_took_says_nothing_of_prices():
    pricing = priced()
    for _ in range(50):
        pricing.note(1.6, solve(9, 1e-3, rescued=True))
    pricing.inodes = True
    assert pricing.of(1.6) == 1.5


class Opinion(learner_class("fixed")):
    def at_safe(self, choice, loss):
        return 2.0 * loss


@pytest.mark.parametrize(("cost", "smooth", "ratio"), [
    ("work", False, 3.0), ("time", False, 3.0), ("iterations", False, 2.0), ("work", True, 2.0), ("time", True, 2.0),
])  # fmt: skip
def test_a_learners_opinion_is_turned_into_iterations(cost, smooth, ratio, monkeypatch):
    monkeypatch.setattr(Opinion, "smooth", smooth)
    pricing = priced(cost)
    pricing.inodes = True
    assert pricing.at_safe(Opinion(), Choice(1.6), 4.0) == pytest.approx(ratio)
    assert pricing.at_safe(learner_class("fixed")(), Choice(1.6), 4.0) is None


@pytest.mark.parametrize(("cost", "smooth", "told"), [
    ("work", False, 3.0), ("work", True, 2.0), ("flops", True, 3.0), ("iterations", True, 3.0),
])  # fmt: skip
def test_a_smooth_model_is_told_no_prices(cost, smooth, told, monkeypatch):
    monkeypatch.setattr(Opinion, "smooth", smooth)
    pricing = priced(cost)
    pricing.inodes = True
    assert pricing.told(Opinion(), 1.6, 3.0, 9) == pytest.approx(told) and pricing.told(Opinion(), 1.0, 3.0, 9) == 3.0


@pytest.mark.parametrize(("excess", "inodes", "omega"), [(0.2, True, 1.0), (0.6, True, 1.6), (-0.2, False, 1.6)])
def test_the_safe_omega_is_played_where_its_iterations_are_cheap_enough(excess, inodes, omega):
    class Smooth(Opinion):
        smooth = True

        def safe(self, context):
            return Choice(1.0, explored=True, context=context)

        def choose(self, context):
            return Choice(1.6, context=context)

        def excess(self, omega, choice):
            return excess

    pricing = priced()
    pricing.inodes = inodes
    found, asked = ask(NO_CONTEXT, Smooth(), Vetoes(1.0), Baseline(), pricing)
    assert found == asked.omega == omega and not asked.explored


def test_a_cost_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="omega = 1.6"):
        Pricing("time").loss(Decision(1.6, 1.0), solve(9, float("nan")))


def test_prices_survive_a_restart_and_damage_is_refused():
    pricing, again = priced("time"), Pricing("time")
    pricing.told(Opinion(), 1.0, 3.0, 9)
    again.restore(pricing.state())
    again.inodes = True
    assert again.of(1.6) == 1.5
    assert again.told(Opinion(), 1.0, 1e9, 9) == pricing.told(Opinion(), 1.0, 1e9, 9) < 1e9
    for damage in ({"least": [1.0]}, {"least": [-1.0, 1.0]}, {"least": [float("nan"), 1.0]}, {"solves": "x"},
                   {"median": -1.0}, {"median": float("inf")}):  # fmt: skip
        with pytest.raises((KeyError, TypeError, ValueError)):
            Pricing("time").restore({**pricing.state(), **damage})


@given(st.floats(1e-6, 1e3), st.floats(1.0, 1e9))
def test_an_outlier_of_the_clock_counts_for_little(usual, factor):
    steady = Steady()
    for _ in range(20):
        steady(usual, 9)
    assert steady(usual * factor, 9) <= 1.1 * steady.factor * usual


def test_a_solve_with_more_iterations_is_no_outlier():
    steady = Steady()
    for _ in range(50):
        assert [steady(2e-6 * (count + 1), count) for count in (3, 50, 20)] == pytest.approx([8e-6, 102e-6, 42e-6])
