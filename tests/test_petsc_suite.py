"""A part of PETSc's own regression tests; `make petsc-suite` runs them all.

The cases are of every kind that has found something, and as quick as there are.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ENVIRONMENT
from petsc_suite import blocks, comparing
from petsc_suite.__main__ import BUILD
from petsc_suite.cases import run_case
from petsc_suite.installation import Missing, find
from petsc_suite.running import Run, Runner, Solve

SOLVE = Solve(0, 0, 0, "", "gmres", "sor", "seqaij", 100, 0, 5, 2, 1e-6, 0.5, 1.0, 6, 1.0, 1.0)
NATIVE = Run("program", 0, "norm 1.5\n", "", 0.1, [SOLVE] * 5)
#: Runs that must not pass for the native one.
WORSE = {
    "exit status": NATIVE._replace(status=255),
    "no end": NATIVE._replace(status=None),
    "failed solve": NATIVE._replace(solves=[SOLVE] * 4 + [SOLVE._replace(reason=-3)]),
    "error": NATIVE._replace(solves=[SOLVE] * 4 + [SOLVE._replace(error=56)]),
    "many more solves": NATIVE._replace(solves=[SOLVE] * 13),
    "lost Newton": NATIVE._replace(out="Nonlinear solve did not converge due to DIVERGED_MAX_IT iterations 50\n"),
    "traceback": NATIVE._replace(err="Traceback (most recent call last):\n"),
    "leak": NATIVE._replace(out="norm 1.5\n[0]16 bytes PetscStrallocpy()\n"),
    "unused option": NATIVE._replace(out="Option left: name:-pc_sorlearn_learner value: auto\n"),
}


@pytest.mark.parametrize("worse", WORSE.values(), ids=WORSE)
def test_a_run_that_ends_worse_fails(worse):
    assert comparing.failures(NATIVE, NATIVE) == []
    assert comparing.failures(NATIVE, worse)


def test_where_native_fails_the_reason_must_be_the_same():
    native = NATIVE._replace(status=91, solves=[SOLVE._replace(reason=-11)])
    assert comparing.failures(native, native) == []
    assert comparing.failures(native, native._replace(solves=[SOLVE._replace(reason=-9)]))
    assert comparing.failures(native, NATIVE) == []


def test_what_native_refuses_must_be_refused():
    native = NATIVE._replace(status=56, solves=[SOLVE._replace(error=56, reason=0)])
    assert comparing.failures(native, native) == []
    assert comparing.failures(native, NATIVE)


def test_one_bit_is_not_exact():
    assert comparing.inexact(NATIVE, NATIVE) == []
    assert comparing.inexact(NATIVE, NATIVE._replace(solves=[SOLVE] * 4 + [SOLVE._replace(length=1.0 + 2e-16)]))


def test_accuracy_counts_what_native_passes():
    ours = [SOLVE._replace(relative=1e-5), SOLVE._replace(test=1.6), SOLVE._replace(test=3.5), SOLVE, SOLVE]
    found = comparing.accuracy(NATIVE, NATIVE._replace(solves=ours))
    assert (found.solves, round(found.decades, 6), round(found.worst, 6)) == (5, 1.0, 10.0)
    assert (found.tests, found.above, found.far_above, found.worst_test) == (5, 2, 1, 3.5)


def test_requirements():
    macros = frozenset({"PETSC_HAVE_HDF5", "PETSC_USE_LOG"})
    assert blocks.met("hdf5 !complex double defined(PETSC_USE_LOG)", macros)
    assert not blocks.met("!hdf5", macros) and not blocks.met("cuda", macros) and not blocks.met("triangle", macros)


#: Place and tests.
CASES = """
    outer ts/tutorials/ex10.c runex10_2
"""


@pytest.fixture(scope="module")
def runner():
    try:
        return Runner(find(BUILD), ENVIRONMENT)
    except Missing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("case", [line.strip() for line in CASES.splitlines() if line.strip()])
def test_ends_as_with_petscs_own_sor(case, runner):
    place, source, name = case.split()
    source = runner.installation.sources / source
    [test] = [test for test in blocks.tests(runner.installation, source) if test.name == name]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        case = run_case(runner, runner.installation.compiled(source), test, place, each=pool.map)
    failures = {way: [*done.failures, done.command] for way, done in case.ways.items() if done.failures}
    assert case.ways and not failures
