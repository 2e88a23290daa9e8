"""What a solve is charged for, alone and in a real solve."""

import json
import sys

import pytest
from conftest import run
from hypothesis import given
from hypothesis import strategies as st

from sorlearn.tuning.cost import COSTS, MIN_DIGITS, SolveRecord, Steady, finite

RECORD = SolveRecord(solve=1, omega=1.5, iterations=15, reason=2, seconds=0.5, digits=8.0, flops=3e6)


def test_each_cost_counts_what_it_says():
    assert {name: cost(RECORD) for name, cost in COSTS.items()} == {
        "work": 2.0, "iterations": 15.0, "time": 0.5, "flops": 3.0,
    }  # fmt: skip


def test_work_charges_slower_kernels_and_lost_digits():
    assert COSTS["work"](RECORD._replace(weight=2.0)) == 4.0
    assert COSTS["work"](RECORD._replace(digits=4.0)) == 4.0
    assert COSTS["work"](RECORD._replace(digits=-3.0)) == 16 / MIN_DIGITS


@given(st.floats(1e-6, 1e3), st.floats(1.0, 1e9))
def test_an_outlier_of_the_clock_counts_for_little(usual, factor):
    steady = Steady()
    for _ in range(20):
        steady(usual)
    assert steady(usual * factor) <= 1.1 * steady.factor * usual


def test_numbers_that_do_not_exist_are_none():
    assert [finite(value) for value in (1.0, None, float("nan"), float("inf"))] == [1.0, None, None, None]


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
