"""A part of PETSc's own regression tests; `make petsc-suite` runs them all.

The cases are of every kind that has found something, and as quick as there are.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ENVIRONMENT
from petsc_suite import blocks, comparing, reporting
from petsc_suite.__main__ import BUILD
from petsc_suite.cases import Case, Way, run_case
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


@pytest.mark.parametrize("said", ["SOR can't be applied to this matrix of type seqaij\n", "{}: No support\n"])
def test_without_the_c_file_a_refusal_may_lose_its_code_but_not_its_cause(said, in_python):
    error = "[0]PETSC ERROR: ---- Error Message ----\n[0]PETSC ERROR"
    native = NATIVE._replace(status=56, err=f"{error}: No support\n", solves=[SOLVE._replace(error=56, reason=0)])
    ours = native._replace(status=255, err=said.format(error), solves=[SOLVE._replace(error=-1, reason=0)])
    assert comparing.failures(native, ours) == []
    assert comparing.failures(native, ours._replace(command="-ksp_python_type sorlearn.KSP"))
    assert comparing.failures(native, ours._replace(err=f"{error}: Argument out of range\n"))


def test_one_bit_is_not_exact():
    assert comparing.inexact(NATIVE, NATIVE) == []
    assert comparing.inexact(NATIVE, NATIVE._replace(solves=[SOLVE] * 4 + [SOLVE._replace(length=1.0 + 2e-16)]))


def test_several_ranks_print_in_any_order():
    runs = [NATIVE._replace(out="  norm 1.5\nsecond rank\n"), NATIVE._replace(out="  nosecond rank\nrm 1.5\n")]
    assert comparing.inexact(*runs)
    assert comparing.inexact(*(run._replace(command="mpiexec -n 2 program") for run in runs)) == []
    assert comparing.inexact(*(run._replace(command="mpiexec -n 2 program") for run in (runs[0], NATIVE)))


def test_accuracy_counts_what_native_passes():
    ours = [SOLVE._replace(relative=1e-5), SOLVE._replace(test=1.6), SOLVE._replace(test=3.5), SOLVE, SOLVE]
    found = comparing.accuracy(NATIVE, NATIVE._replace(solves=ours))
    assert (found.solves, round(found.decades, 6), round(found.worst, 6)) == (5, 1.0, 10.0)
    assert (found.tests, found.above, found.far_above, found.worst_test) == (5, 2, 1, 3.5)


def test_sequences_are_summed_up_without_richardsons():
    """Which native SOR lets run on to its limit."""
    way = Way([], [], 80, 90, 20, 0, comparing.Accuracy(20, 2.0, 2.0, 20, 1, 0, 1.6), 0.1, "", "")
    case = Case("f", "b", "n", "outer", status=0, solves=20, iterations=100, ways={"auto": way})
    (line,) = reporting.table([case, case._replace(iterations=10**6, richardson=True)]).splitlines()
    assert "80 for native's 100 iterations (0.800) in 1 sequences" in line
    assert "1.26 on geometric average of 20, worst 2; the user's test missed by more than 1.5 in 5.00 %" in line


def test_requirements():
    macros = frozenset({"PETSC_HAVE_HDF5", "PETSC_USE_LOG"})
    assert blocks.met("hdf5 !complex double defined(PETSC_USE_LOG)", macros)
    assert not blocks.met("!hdf5", macros) and not blocks.met("cuda", macros) and not blocks.met("triangle", macros)


#: Kind of case → where SOR is put, source and test.
CASES = {
    "trust regions": """
        outer snes/tests/ex1.c runex1_2
        outer snes/tests/ex1.c runex1_4
        outer snes/tutorials/ex2.c runex2_2
        outer snes/tutorials/ex2.c runex2_4
        outer snes/tutorials/ex14.c runex14_5
        outer snes/tutorials/ex18.c runex18_2
        outer snes/tutorials/ex19.c runex19_19
        outer snes/tutorials/ex42.c runex42_2
        outer snes/tutorials/ex78.c runex78_2
        outer snes/tutorials/ex99.c runex99_4""",
    "tolerances that native SOR accepts": """
        outer snes/tutorials/ex5.c runex5_2
        outer snes/tutorials/ex5.c runex5_4""",
    "preconditioners that fail": """
        outer ksp/ksp/tutorials/ex55.c runex55_1
        outer snes/tests/ex69.c runex69_4
        outer snes/tests/ex69.c runex69_5
        outer snes/tests/ex69.c runex69_7
        outer snes/tutorials/ex16.c runex16_3""",
    "matrices that SOR can't have, or not with every omega": """
        outer ksp/ksp/tests/ex22.c runex22_3
        outer ksp/ksp/tutorials/ex2.c runex2_symmetric_pc
        outer snes/tutorials/ex15.c runex15_4
        outer snes/tutorials/ex19.c runex19_cgne
        outer snes/tutorials/ex19.c runex19_fdcoloring_ds_baij
        outer snes/tutorials/ex48.c runex48_1
        outer ts/tutorials/power_grid/ex3sa.c runex3sa_1""",
    "several unknowns a node": """
        outer ksp/ksp/tutorials/ex56.c runex56_nns
        outer snes/tutorials/ex19.c runex19_17
        outer snes/tutorials/ex19.c runex19_tfqmr
        outer snes/tutorials/ex19.c runex19_bcgsl""",
    "systems that one to seven iterations solve": """
        outer ts/tutorials/ex10.c runex10_2
        outer ts/tutorials/ex10.c runex10_3
        outer ts/tutorials/ex20fwd.c runex20fwd_2
        outer ts/tutorials/ex40.c runex40_d
        outer ts/tutorials/ex40.c runex40_m
        outer ts/tutorials/power_grid/ex1.c runex1_2
        outer ts/tutorials/power_grid/ex3.c runex3_1
        outer ts/tutorials/power_grid/ex9.c runex9_1""",
    "views": """
        outer ts/tutorials/ex1.c runex1_1
        outer ts/tutorials/ex3.c runex3_stringview
        outer ksp/ksp/tests/ex1.c runex1_lsqr_0_ksp_convergence_test-default""",
    "Richardson's iteration, also under fixed": """
        outer snes/tutorials/ex5.c runex5_asm_0
        outer snes/tutorials/ex35.c runex35_2""",
    "several ranks": """
        outer ksp/ksp/tutorials/ex5.c runex5_asm
        outer ksp/ksp/tutorials/ex16.c runex16_1
        inner ksp/ksp/tutorials/ex2.c runex2_bjacobi_2
        inner ksp/ksp/tutorials/ex34.c runex34_2
        inner snes/tutorials/ex19.c runex19_bjacobi""",
    "solves inside a function that is differenced": """
        outer ts/tests/ex3.c runex3_euler""",
    "null spaces": """
        outer ksp/ksp/tutorials/ex50.c runex50_tut_1
        outer ksp/ksp/tutorials/ex67.c runex67_symmetric_left""",
    "inside fieldsplit, multigrid and other solvers": """
        inner ksp/ksp/tutorials/ex2.c runex2_chebyest_1
        inner ksp/ksp/tutorials/ex15.c runex15_tsirm
        inner ksp/ksp/tutorials/ex25.c runex25_1
        inner ksp/ksp/tutorials/ex28.c runex28_1
        inner ksp/ksp/tutorials/ex42.c runex42_3
        inner ksp/ksp/tutorials/ex43.c runex43_1
        inner ksp/ksp/tests/ex26.c runex26_cycles_pc_mg_type-full
        inner ksp/ksp/tests/ex26.c runex26_ml_1""",
}


def _of(kind):
    return [line.strip() for line in CASES[kind].splitlines() if line]


@pytest.fixture(scope="module")
def outcome():
    """Function from a line of `CASES` to what came of it, run once."""
    try:
        runner = Runner(find(BUILD), ENVIRONMENT)
    except Missing as error:
        pytest.skip(str(error))

    @functools.cache
    def run(line):
        place, source, name = line.split()
        source = runner.installation.sources / source
        [test] = [test for test in blocks.tests(runner.installation, source) if test.name == name]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return run_case(runner, runner.installation.compiled(source), test, place, each=pool.map)

    return run


@pytest.mark.parametrize("line", [line for kind in CASES for line in _of(kind)])
def test_ends_as_with_petscs_own_sor(line, outcome):
    case = outcome(line)
    assert case.ways, case.skipped
    assert not "\n".join(reporting.detail(*failed) for failed in reporting.failing([case]))


@pytest.mark.parametrize("line", _of("systems that one to seven iterations solve"))
def test_where_little_can_be_gained_little_is_lost(line, outcome):
    case = outcome(line)
    assert case.solves >= reporting.LONG
    assert not reporting.dearer([case], "auto") + reporting.dearer([case], "guarded")
