"""What a solve is charged for, alone and in a real solve."""

import json
import sys

import pytest
from conftest import run

from sorlearn.tuning.cost import COSTS, MIN_DIGITS, Charge

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
