"""Asked as any other KSP of PETSc, the guarded solver answers what the native one would."""

from __future__ import annotations

import ctypes
import gc
import itertools
import sys
from contextlib import suppress

import numpy as np
import pytest
from conftest import ROOT, SWITCH, run
from petsc4py import PETSc
from systems import fill, laplacian, native, random_rhs, solver, true_residual
from test_clients import SOLVED
from test_ksp import GUARDED, forget, guarded, solved

from sorlearn.petsc import delegate
from sorlearn.petsc.clib import PetscBool, PetscInt, has, library

NORM, SIDE = PETSc.KSP.NormType, PETSc.PC.Side
NEGATIVE_CURVATURE = 5  # KSP_CONVERGED_NEG_CURVE; petsc4py has changed its name
NORMAL_EQUATIONS = 1  # KSP_CONVERGED_RTOL_NORMAL_EQUATIONS; likewise
OUT_OF_RANGE = 63  # PETSC_ERR_ARG_OUTOFRANGE
_numbers = itertools.count()


def pair(A, ksp_type="cg", **options):
    """(native, guarded) under the same ω, which isn't 1."""
    sor = native(A, f"sor{next(_numbers)}_", ksp_type=ksp_type, pc_sor_omega=1.5, **options)
    return sor, guarded(A, ksp_type, pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5, **options)


def code_of(call, *arguments):
    """What the call returns, or the code of its error."""
    try:
        return call(*arguments)
    except PETSc.Error as error:
        return "error", error.ierr


# -- what isn't a number


def spoilt(where, value):
    """(A, b, x) with one entry that isn't finite."""
    A = laplacian(8)
    b, x = random_rhs(A)
    if where == "A":
        A.setValue(5, 5, value)
        A.assemble()
    else:
        b.setValue(3, value)
        b.assemble()
    return A, b, x


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("where", ["A", "b"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_reason_where_there_is_no_number(where, value):
    for ksp_type in ("cg", "gmres", "bcgs", "richardson"):
        A, b, x = spoilt(where, value)
        outcomes = []
        for ksp in pair(A, ksp_type):
            norms = []
            ksp.setMonitor(lambda ksp, its, norm, norms=norms: norms.append(norm))
            ksp.solve(b, x)
            outcomes.append((ksp.getConvergedReason(), ksp.getIterationNumber(), ksp.getResidualNorm(), norms))
        assert repr(outcomes[0]) == repr(outcomes[1]) and outcomes[0][0] < 0, ksp_type


def test_error_where_there_is_no_number_and_the_user_wants_it():
    """In its own process, because PETSc doesn't recover from such an error."""
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from test_ksp_as_native import *
A, b, x = spoilt("b", np.nan)
for ksp in pair(A, ksp_error_if_not_converged=""):
    print(code_of(ksp.solve, b, x), ksp.getConvergedReason())
"""
    lines = run(1, sys.executable, "-c", code).stdout.splitlines()
    assert lines[0].startswith("('error', 91)") and lines[1].startswith("('error', 91)"), lines


# -- the iterate and its residual, while the solver runs


def solution_of(ksp):
    """KSPBuildSolution where PETSc is to say where the vector is."""
    built = ctypes.c_void_p()
    error = library().KSPBuildSolution(ctypes.c_void_p(ksp.handle), None, ctypes.byref(built))
    norm = ctypes.c_double()
    return error or library().VecNorm(built, 1, ctypes.byref(norm)) or norm.value


def watched(ksp, in_a_test, without_vector):
    """What monitors or convergence tests see of the iterate."""
    A, seen = ksp.getOperators()[0], []
    b, x = random_rhs(A)
    v, r = x.duplicate(), b.duplicate()

    def look(ksp, its, norm):
        ksp.buildResidual(r)
        ksp.buildSolution(v)
        seen.append((v.norm(), r.norm(), true_residual(A, b, v), without_vector and solution_of(ksp)))
        seen.append((its, norm, ksp.getIterationNumber()))
        if its:  # CG notes its first norm after showing it
            seen.append(ksp.getResidualNorm())

    ksp.setTolerances(max_it=9)
    ksp.setConvergenceTest(look) if in_a_test else ksp.setMonitor(look)
    ksp.solve(b, x)
    return seen


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("in_a_test", [False, True])
@pytest.mark.parametrize(
    ("ksp_type", "side"),
    [("cg", "left"), ("gmres", "left"), ("gmres", "right"), ("fgmres", "right"), ("bcgs", "right"), ("gcr", "right"),
     ("minres", "left"), ("richardson", "left")],
)  # fmt: skip
def test_iterate_of_every_iteration(ksp_type, side, in_a_test):
    without_vector = ksp_type in ("cg", "gmres", "fgmres")
    sor, ksp = pair(laplacian(9), ksp_type, ksp_pc_side=side)
    expected = watched(sor, in_a_test, without_vector)
    assert watched(ksp, in_a_test, without_vector) == expected and len(expected) > 12


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("ksp_type", ["cg", "gmres"])
def test_singular_values_and_eigenvalues(ksp_type):
    outcomes = []
    for ksp in pair(laplacian(9), ksp_type):
        ksp.setComputeSingularValues(True)
        solved(ksp)
        outcomes.append((ksp.computeExtremeSingularValues(), ksp.computeEigenvalues().tolist()))
    assert outcomes[0] == outcomes[1] and outcomes[0][0][0] > 0.0 and len(outcomes[0][1]) > 3


@pytest.mark.parallel(1, 2)
def test_a_trust_region_reaches_conjugate_gradients():
    """As SNES and TAO set it: by a function that only some types have."""
    A, outcomes = laplacian(9), []
    for ksp in pair(A, "stcg"):
        solved(ksp)
        assert library().KSPCGSetRadius(ctypes.c_void_p(ksp.handle), ctypes.c_double(0.5)) == 0
        norm = ctypes.c_double()
        outcomes.append(solved(ksp))
        assert library().KSPCGGetNormD(ctypes.c_void_p(ksp.handle), ctypes.byref(norm)) == 0
        outcomes[-1] += (norm.value,)
    assert outcomes[0] == outcomes[1] and outcomes[0][-1] == pytest.approx(0.5)


@pytest.mark.parallel(1, 2)
def test_restart_by_call():
    A, outcomes = laplacian(9), []
    for ksp in pair(A, "gmres", ksp_rtol=1e-9):
        ksp.setGMRESRestart(3)
        outcomes.append(solved(ksp))
    assert outcomes[0] == outcomes[1]


def test_what_ended_can_still_be_asked():
    """After another type, and after destruction, nobody answers in PETSc's place."""
    _, ksp = pair(laplacian(5))
    _, _, _, x = solved(ksp)
    ksp.setType("cg")
    assert solved(ksp)[3] == pytest.approx(x, rel=1e-3)
    _, ksp = pair(laplacian(5))
    ksp.setPythonContext(None)
    ksp.destroy()


@pytest.mark.parametrize("nprocs", [1, 2])
@pytest.mark.parametrize("ksp_type", ["fgmres", "gmres"])
def test_inside_a_trust_region_method(tutorial, tmp_path, nprocs, ksp_type):
    program = tutorial("snes/tutorials/ex42.c")
    arguments = "-snes_type newtontrdc -snes_trdc_use_cauchy 0 -snes_monitor_short -snes_converged_reason".split()
    plain = run(nprocs, program, *arguments, options=f"-ksp_type {ksp_type} -pc_type sor", cwd=tmp_path).stdout
    ours = run(nprocs, program, *arguments, options=f"{GUARDED} {ksp_type} -pc_sorlearn_learner fixed", cwd=tmp_path)
    assert ours.stdout == plain and plain.count("SNES Function norm") > (10 if nprocs == 1 else 1)


@pytest.mark.skipif(not has("KSPSetConvergedNegativeCurvature"), reason="no KSPSetConvergedNegativeCurvature")
@pytest.mark.parametrize("after", [0, 40])
@pytest.mark.parametrize("ksp_type", ["cg", "minres"])
def test_a_negative_curvature_that_is_no_failure(ksp_type, after):
    A, found = laplacian(9), []
    for ksp in pair(A, ksp_type):
        fill(A, 9)
        ksp.setOperators(A)
        for seed in range(after):
            solved(ksp, seed, watched=False)
        library().KSPSetConvergedNegativeCurvature(ctypes.c_void_p(ksp.handle), PetscBool(True))
        fill(A, 9, shift=1.0)
        ksp.setOperators(A)
        found.append(solved(ksp, 3, watched=False)[:2])
    assert found[0] == found[1] and found[0][0] == NEGATIVE_CURVATURE


# -- what the application does with it


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("where", ["setConvergenceTest", "setMonitor"])
def test_an_exception_of_the_application_reaches_it(where):
    """As it does natively; and nothing of the solve stays behind."""

    def fail(ksp, its, norm):
        if its == 3:
            raise ZeroDivisionError

    raised = []
    for ksp in pair(laplacian(9), ksp_initial_guess_nonzero="", ksp_rtol=1e-3):
        getattr(ksp, where)(fail)
        b, x = random_rhs(ksp.getOperators()[0])
        x.set(1.0)
        try:
            ksp.solve(b, x)
        except (ZeroDivisionError, PETSc.Error) as error:
            raised.append((repr(error), repr(error.__cause__)))
        assert ksp.guess_nonzero and ksp.getTolerances() == (1e-3, 1e-50, 1e4, 10000)
    assert raised[0] == raised[1] and "ZeroDivisionError" in str(raised)


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("after", [0, 40])
def test_errors_leave_no_solve_under_way(after):
    """Natively PETSc would refuse every solve after the second error: "Cannot embed PCPreSolve() more than twice"."""
    ksp = guarded(laplacian(9))

    def fail(ksp, its, norm):
        raise ZeroDivisionError

    for seed in range(after):
        solved(ksp, seed, watched=False)
    for seed in range(3):
        ksp.setMonitor(fail)
        with pytest.raises((ZeroDivisionError, PETSc.Error)):
            ksp.solve(*random_rhs(ksp.getOperators()[0], seed))
        delegate.cancel_monitors(ksp)
        assert solved(ksp, seed, watched=False)[0] > 0


class Failing:
    """An operator that fails with an error of PETSc's once it was applied so often."""

    def __init__(self, A):
        self.A, self.left = A, 20

    def mult(self, shell, x, y):
        self.left -= 1
        if not self.left:
            raise PETSc.Error(76)
        self.A.mult(x, y)


@pytest.mark.both_ways
def test_errors_keep_nothing_alive():
    """On ranks that let go of solvers at different times, destroying them would hang."""
    A = laplacian(9)
    shell = PETSc.Mat().createPython(A.getSizes(), Failing(A))
    shell.setUp()
    ksp = guarded(A)
    ksp.setOperators(shell, A)
    gc.disable()
    try:
        for seed in range(4):
            b, x = random_rhs(A, seed)
            with suppress(PETSc.Error):
                ksp.solve(b, x)
            if not shell.getPythonContext().left:
                break
        ksp.destroy()
        assert b.getRefCount() == x.getRefCount() == 1
    finally:
        gc.enable()


@pytest.mark.parametrize("ksp_type", ["cg", "gmres", "bcgs"])
@pytest.mark.parametrize("sets", [lambda ksp: ksp.setTolerances(max_it=6), lambda ksp: ksp.setConvergedReason(4)])
def test_what_a_monitor_sets_is_heeded(sets, ksp_type):
    def monitor(ksp, its, norm):
        if its == 3:
            sets(ksp)

    found = []
    for ksp in pair(laplacian(9), ksp_type):
        for _ in range(3):
            ksp.setTolerances(max_it=10000)
            ksp.setMonitor(monitor)
            found.append(solved(ksp, 1, watched=False)[:2])
    assert found[:3] == found[3:]


def test_options_read_again():
    """The preconditioner, and what was set on it, stays."""
    ksp = guarded(laplacian(9))
    tuner = ksp.getPC().getPythonContext()
    tuner.context = 0.5
    for seed in range(3):
        ksp.setFromOptions()
        solved(ksp, seed)
    assert ksp.getPC().getPythonContext() is tuner and tuner.context == 0.5 and len(tuner.records) == 3


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("options", [{}, {"ksp_norm_type": "unpreconditioned"}], ids=["defaults", "a norm"])
def test_another_type_by_options(options):
    """It brings its own norm and side, unless the user says which."""
    A, found = laplacian(9), []
    for ksp, flag in zip(pair(A, "cg", **options), ("ksp_type", "sorlearn_ksp_type")):
        database = PETSc.Options(ksp.getOptionsPrefix())
        for ksp_type in ("cg", "fgmres", "gmres", "lsqr", "cg", "fbcgs", "cg"):
            database[flag] = ksp_type
            ksp.setFromOptions()
            found.append((*solved(ksp), ksp.getNormType(), ksp.getPCSide()))
    assert found[:7] == found[7:]


# -- what PETSc refuses


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("by_call", [False, True])
def test_norms_and_sides_that_the_type_does_not_support(by_call):
    """And those that it does; SOR has no symmetric application, for a start."""
    A, outcomes = laplacian(5), []
    norms = {"default": None, "none": NORM.NONE, "preconditioned": NORM.PRECONDITIONED,
             "unpreconditioned": NORM.UNPRECONDITIONED, "natural": NORM.NATURAL}  # fmt: skip
    sides = {"left": SIDE.LEFT, "right": SIDE.RIGHT, "symmetric": SIDE.SYMMETRIC, "default": None}
    for ksp_type, norm, side in itertools.product(("cg", "gmres", "bcgs"), norms, sides):
        options = {"ksp_norm_type": norm, "ksp_pc_side": side, "ksp_max_it": 4}
        if by_call:
            options = {"ksp_max_it": 4}
        pairs = pair(A, ksp_type, **{name: value for name, value in options.items() if value != "default"})
        both = []
        for ksp in pairs:
            if by_call and norms[norm] is not None:
                ksp.setNormType(norms[norm])
            if by_call and sides[side] is not None:
                ksp.setPCSide(sides[side])
            both.append((code_of(ksp.setUp), code_of(ksp.getNormType), code_of(ksp.getPCSide)))
            if both[-1][0] is None:
                both[-1] += (code_of(solved, ksp)[: 1 if side == "symmetric" else None],)  # callbacks' codes differ
        assert repr(both[0]) == repr(both[1]), (ksp_type, norm, side)
        outcomes.append(both[0][0])
        forget()
    assert ("error", 56) in outcomes and None in outcomes


# -- tolerances


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(
    ("option", "value"),
    [("atol", -1.0), ("rtol", 2.0), ("rtol", 1.0), ("rtol", 0.0), ("max_it", -1), ("max_it", 0), ("divtol", -1.0),
     ("divtol", 0.5), ("rtol", -2.0), ("min_it", 30)],
)  # fmt: skip
def test_tolerances_that_petsc_takes_from_its_options(option, value):
    A = laplacian(9)
    try:
        sor, ksp = pair(A, **{"ksp_max_it": 60, f"ksp_{option}": value})
    except PETSc.Error as error:
        assert error.ierr == OUT_OF_RANGE and PETSc.Sys.getVersion() > (3, 19, 9), "only newer ones refuse the option"
        return
    had = ksp.getTolerances()
    assert had == sor.getTolerances()
    for seed in range(3):
        assert repr(solved(ksp, seed)) == repr(solved(sor, seed))
        assert ksp.getTolerances() == had


# -- other wishes


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(
    "options",
    [{"ksp_convergence_test": "skip", "ksp_max_it": 6}, {"ksp_norm_type": "none", "ksp_max_it": 6}, {"ksp_knoll": ""},
     {"ksp_converged_maxits": "", "ksp_max_it": 6}, {"ksp_check_norm_iteration": 7}],
)  # fmt: skip
def test_other_options(options):
    for ksp_type in ("cg", "gmres", "richardson"):
        sor, ksp = pair(laplacian(9), ksp_type, **options)
        for seed in range(3):
            assert repr(solved(ksp, seed)) == repr(solved(sor, seed))


@pytest.mark.parallel(1, 2)
def test_a_fixed_number_of_iterations_says_nothing_of_omega():
    ksp = guarded(laplacian(9), ksp_convergence_test="skip", ksp_max_it=9)
    for seed in range(30):
        assert solved(ksp, seed)[:2] == (PETSc.KSP.ConvergedReason.CONVERGED_ITS, 9)
    assert ksp.getPC().getPythonContext().omega == 1.0


# -- viewers


@pytest.mark.parametrize("kind", ["plain", "guarded"])
@pytest.mark.parametrize("viewer", ["binary:there", "draw", "ascii:there", ":there:ascii_info"])
def test_viewers_of_every_kind(tmp_path, kind, viewer):
    """Words are for those that read words."""
    flags = GUARDED.replace("-python ", "", 1) + " cg" if kind == "guarded" else "-ksp_type cg"
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from systems import *
ksp = from_options(laplacian(5), "")
ksp.solve(*random_rhs(ksp.getOperators()[0]))
print("solved")
"""
    flags += f" -pc_type python -pc_python_type sorlearn.PC -draw_type null -ksp_view {viewer}"
    output = run(1, sys.executable, "-c", code, options=flags, cwd=tmp_path)
    assert "solved" in output.stdout and "learner auto" not in output.stdout
    written = (tmp_path / "there").read_bytes() if (tmp_path / "there").exists() else b""
    assert (b"learner auto" in written) == (":there" in viewer and viewer[0] in ":a")
    assert b"learner auto" in written or b"omega" not in written


def test_string_viewer():
    viewer = ctypes.c_void_p()
    text = ctypes.create_string_buffer(4000)
    _, ksp = pair(laplacian(5))
    solved(ksp)
    comm = ctypes.c_void_p()
    library().PetscObjectGetComm(ctypes.c_void_p(ksp.handle), ctypes.byref(comm))
    library().PetscViewerStringOpen(comm, text, ctypes.c_size_t(4000), ctypes.byref(viewer))
    assert library().KSPView(ctypes.c_void_p(ksp.handle), viewer) == 0
    assert text.value.startswith(b" KSPType: python") and b"PCType: python" in text.value
    assert b"cg" not in text.value and b"learner" not in text.value
    library().PetscViewerDestroy(ctypes.byref(viewer))


# -- options


def test_no_option_is_left_over(tutorial, tmp_path):
    program = tutorial("ts/tutorials/ex13.c")
    flags = (
        f"{GUARDED} gmres -ksp_gmres_restart 7 -ksp_rtol 1e-6 -ksp_norm_type unpreconditioned -ksp_pc_side right "
        "-ksp_knoll -ksp_lag_norm -ksp_initial_guess_nonzero 0 -sorlearn_ksp_atol 1e-9 -sorlearn_ksp_max_it 99 "
        "-pc_sorlearn_seed 3 -pc_sorlearn_learner tsallis_inf -pc_sor_its 2 -options_left"
    )
    output = run(1, program, "-ts_max_steps", "3", "-ksp_converged_reason", options=flags, cwd=tmp_path).stdout
    assert "no unused options" in output and len(SOLVED.findall(output)) >= 5, output


# -- what changes between solves that nobody looks at


def flagged(name):
    """Function that has PETSc's own test heed something more."""
    function = getattr(library(), name)
    return lambda ksp: function(ctypes.c_void_p(ksp.handle), *[PetscInt(40)] * name.endswith("Iterations"))


def counts_as_converged(ksp):
    library().KSPConvergedDefaultSetConvergedMaxits(ctypes.c_void_p(ksp.handle), PetscBool(True))
    ksp.setTolerances(max_it=4)


def has_another_pc(ksp):
    pc = PETSc.PC().create(ksp.comm)
    pc.setType("jacobi")
    pc.setOperators(*ksp.getOperators())
    ksp.setPC(pc)


def in_a_row(ksp, change, more=3):
    """(reason, iterations, residual norm, solution) of solves from a guess that is nearly right; half are changed."""
    b, x = random_rhs(ksp.getOperators()[0])
    ksp.solve(b, x)
    near, found = 0.999 * x, []
    ksp.setInitialGuessNonzero(True)
    for i in range(2 * more):
        if i == more:
            change(ksp)
        near.copy(x)
        ksp.solve(b, x)
        found.append((ksp.getConvergedReason(), ksp.getIterationNumber(), ksp.getResidualNorm(), x.getArray().tolist()))
    return found


CHANGES = {
    "initial residual": flagged("KSPConvergedDefaultSetUIRNorm"),
    "least norm": flagged("KSPConvergedDefaultSetUMIRNorm"),
    "the limit": counts_as_converged,
    "another PC": has_another_pc,
    "its PC's type": lambda ksp: ksp.getPC().setType("jacobi"),
}
if PETSc.Sys.getVersion() >= (3, 26, 0):
    CHANGES["least iterations"] = flagged("KSPSetMinimumIterations")


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_set_between_solves_counts(change):
    sor, ours = pair(laplacian(12))
    before, after = in_a_row(sor, CHANGES[change]), in_a_row(ours, CHANGES[change])
    assert before == after
    assert before[0] == before[2] != before[3] == before[5]


# -- least squares


def least_squares(n=30):
    """(A, AᵀA) with A 3n/2 × n."""
    A = PETSc.Mat().createAIJ((3 * n // 2, n), nnz=4)
    random = np.random.default_rng(0)
    entries = (1.0, -0.6, 0.3, 0.2) * (1.0 + 0.3 * random.random((3 * n // 2, 4)))
    for row in range(*A.getOwnershipRange()):
        for k, value in enumerate(entries[row]):
            A.setValue(row, (2 * row // 3 + k) % n, value)
    A.assemble()
    return A, A.transposeMatMult(A)


def watched_at_times(ksp, A, P):
    """(reason, iterations, residual norm, solution, what a monitor saw) of solves that leave a residual."""
    ksp.setOperators(A, P)
    (x, b), found = A.createVecs(), []
    for i in range(6):
        low, high = b.getOwnershipRange()
        b.setArray(np.random.default_rng(i).standard_normal(b.getSize())[low:high])
        seen = []
        if i in (2, 3):
            ksp.setMonitor(lambda ksp, its, norm, seen=seen: seen.append((its, norm)))
        elif i == 4:
            delegate.cancel_monitors(ksp)
        ksp.solve(b, x)
        ended = ksp.getConvergedReason(), ksp.getIterationNumber(), ksp.getResidualNorm()
        found.append((*ended, x.getArray().tolist(), seen))
    return found


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ksp_convergence_test": "lsqr"},
        {"ksp_convergence_test": "default", "ksp_max_it": 40},
        {"ksp_convergence_test": "skip", "ksp_max_it": 9},
        {"ksp_converged_maxits": "", "ksp_max_it": 4},
    ],
    ids=lambda options: " ".join(options),
)
def test_least_squares_end_by_the_test_of_lsqr(options):
    A, P = least_squares()
    sor, ours = (watched_at_times(ksp, A, P) for ksp in pair(laplacian(12), "lsqr", **options))
    assert sor == ours
    if not options:
        assert all(reason == NORMAL_EQUATIONS for reason, *_ in sor)


@pytest.mark.parallel(1, 2)
def test_least_squares_by_arms():
    A, P = least_squares()
    sor, ours = pair(laplacian(12), "lsqr", sorlearn_arms="sor,jacobi")
    for ksp in (sor, ours):
        assert {reason for reason, *_ in watched_at_times(ksp, A, P)} == {NORMAL_EQUATIONS}


@pytest.mark.parametrize("on", ["1", "0"])
def test_a_matrix_of_another_type_in_between(on, monkeypatch):
    """SOR of BAIJ takes ω = 1 only."""
    monkeypatch.setenv(SWITCH, on)
    A = laplacian(12)
    B = A.convert("baij", PETSc.Mat())
    plain = solver(A, f"row{next(_numbers)}_", pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5)
    for ksp in (plain, guarded(A, pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5)):
        counts = []
        for matrix in (A, A, A, B, B, B, A, A, A):
            ksp.setOperators(matrix)
            b, x = random_rhs(A)
            ksp.solve(b, x)
            counts.append(ksp.getIterationNumber())
        assert len(set(counts[:3] + counts[6:])) == len(set(counts[3:6])) == 1
        assert counts[0] < counts[3]
