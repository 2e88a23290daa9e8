"""What a solve is charged for, alone and in a real solve."""

import json
import sys

import numpy as np
import pytest
from conftest import run
from hypothesis import given
from hypothesis import strategies as st

from sorlearn.tuning.cost import COSTS, LEAST_PRICE, MIN_DIGITS, MOST_PRICE, PRICE, Charge, Price, Steady

CHARGE = Charge(iterations=15, seconds=0.5, flops=3e6)


def test_each_cost_counts_what_it_says():
    assert {name: cost(CHARGE) for name, cost in COSTS.items()} == {
        "work": 2.0, "iterations": 15.0, "time": 0.5, "flops": 3.0,
    }  # fmt: skip


@pytest.mark.parametrize(("change", "cost"), [
    ({"price": 1.5}, 3.0),
    ({"asked": 4.0}, 4.0),
    ({"before": 1.0, "after": 1e-4}, 4.0),  # digits that were gained, where the test is not known
    ({"before": 1.0, "after": 1e-4, "lost": 2.0}, 8.0),
    ({"before": 1.0, "after": 0.0}, 2.0),
    ({"before": 1.0, "after": 1e-8, "target": 1e-8}, 2.0),
    ({"before": 1.0, "after": 1e-8, "target": 1e-8, "lost": 4.0}, 4.0),
    ({"before": 1.0, "after": 10.0**-8.2, "target": 1e-8}, (16 - 15 * 0.2 / 8.2) / 8),  # overstepped by luck
    ({"before": 1.0, "after": 1e-16, "target": 1e-8}, 15 / 8),  # no more than the last iteration is luck
    ({"before": 1.0, "after": 1.0, "target": 0.5}, 16 / MIN_DIGITS),
    ({"before": 1.0, "after": 5.0}, 16 / MIN_DIGITS),
    ({"before": 1e-9, "after": 1e-9, "target": 1e-8}, 16 / MIN_DIGITS),  # passed from the start
])  # fmt: skip
def test_work_is_charged_per_digit_of_the_users_own_test(change, cost):
    assert COSTS["work"](CHARGE._replace(**change)) == pytest.approx(cost)


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


def test_the_price_survives_a_restart_and_damage_is_refused():
    price, again = Price(), Price()
    for _ in range(8):
        price.note(1.0, 9, 1e-3)
        price.note(1.6, 9, 1.5e-3)
    again.restore(price.state())
    assert again(1.6) == price(1.6) == 1.5
    for damage in ({"least": [1.0]}, {"least": [-1.0, 1.0]}, {"least": [float("nan"), 1.0]}, {"solves": "x"}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Price().restore({**price.state(), **damage})


@given(st.floats(1e-6, 1e3), st.floats(1.0, 1e9))
def test_an_outlier_of_the_clock_counts_for_little(usual, factor):
    steady = Steady()
    for _ in range(20):
        steady(usual)
    assert steady(usual * factor) <= 1.1 * steady.factor * usual


PROGRAM = """
import sys, petsc4py; petsc4py.init(sys.argv)
from petsc4py import PETSc
A = PETSc.Mat().createAIJ(200, nnz=3)
for i in range(*A.getOwnershipRange()):
    for j in range(max(i - 1, 0), min(i + 2, 200)):
        A[i, j] = 2.0 if i == j else -1.0
A.assemble()
ksp = PETSc.KSP().create()
ksp.setOperators(A); ksp.setType("cg"); ksp.setFromOptions()
x, b = A.createVecs()
for t in range(12):
    b.set(1.0 + t); ksp.solve(b, x)
for thing in (ksp, A, x, b): thing.destroy()
"""
FLAGS = "-pc_type python -pc_python_type sorlearn.PC -pc_sorlearn_learner tsallis_inf -pc_sorlearn_cost "


@pytest.mark.parametrize("cost", COSTS)
def test_costs_of_real_solves(cost, tmp_path):
    """Positive and, but for the clock's, the same in a second run; an ω that iterates more costs more."""
    journals = []
    for name in ("first", "second"):
        path = tmp_path / name
        run(1, sys.executable, "-c", PROGRAM, *(FLAGS + cost).split(), "-pc_sorlearn_journal", path)
        journals.append([json.loads(line) for line in path.read_text().splitlines()])
    costs = [[entry["cost"] for entry in journal] for journal in journals]
    assert min(costs[0]) > 0 and len(costs[0]) == 12
    if cost != "time":
        assert costs[0] == costs[1]
        least, most = (pick(journals[0], key=lambda entry: entry["iterations"]) for pick in (min, max))
        assert least["iterations"] < most["iterations"] and least["cost"] < most["cost"]
