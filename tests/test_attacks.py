"""What applications do that is rare and legal: nothing of it may come out otherwise than with PETSc's own SOR."""

from __future__ import annotations

import ctypes
import itertools

import numpy as np
import pytest
from petsc4py import PETSc
from systems import fill, laplacian, native, random_rhs, solver, user_test

import sorlearn
from sorlearn.errors import OptionError
from sorlearn.petsc import fast

pytestmark = pytest.mark.both_ways

MAKERS = {
    "native": lambda A, prefix, **options: native(A, prefix, **options),
    "auto": lambda A, prefix, **options: solver(A, prefix, **options),
    "tsallis_inf": lambda A, prefix, **options: solver(A, prefix, pc_sorlearn_learner="tsallis_inf", **options),
}
LEARNERS = ["auto", "tsallis_inf"]
_numbers = itertools.count()


class Stop(Exception):
    """The application's own."""


#: What comes out of a solve that it ends: newer petsc4py's put PETSc's stack around it.
STOPPED = (Stop, PETSc.Error)


def make(kind, A, **options):
    """A KSP under a prefix that nothing has been learned for."""
    return MAKERS[kind](A, f"attack{next(_numbers)}_", **{"ksp_type": "gmres", "ksp_rtol": 1e-6, **options})


def tuner(ksp):
    return ksp.getPC().getPythonContext()


class Alarm:
    """A monitor that raises in iteration 2 when it is armed."""

    armed = False

    def __call__(self, ksp, iteration, norm):
        if self.armed and iteration == 2:
            raise Stop


def interrupted(kind, A, solves=12, **options):
    """A KSP that has learned a little and whose last solve was ended by its monitor's exception."""
    ksp, alarm = make(kind, A, **options), Alarm()
    ksp.setMonitor(alarm)
    for seed in range(solves):
        ksp.solve(*random_rhs(A, seed))
    alarm.armed = True
    with pytest.raises(STOPPED):
        ksp.solve(*random_rhs(A))
    alarm.armed = False
    return ksp


def unlock(ksp):
    """PETSc keeps the vectors of a solve that ended in an error locked from 3.20 on."""
    if PETSc.Sys.getVersion() >= (3, 20, 0):
        operators = ksp.getOperators()
        ksp.reset()
        ksp.setOperators(*operators)


@pytest.mark.parametrize("kind", MAKERS)
def test_after_an_exception_the_tolerances_are_the_users(kind):
    """As seen by who catches it, and as that one changes them."""
    A = laplacian(20)
    ksp = interrupted(kind, A, ksp_max_it=500, ksp_atol=1e-30)
    assert ksp.getTolerances() == (1e-6, 1e-30, 1e4, 500)
    ksp.setTolerances(rtol=1e-3, atol=1e-20, divtol=1e5, max_it=77)
    unlock(ksp)
    ksp.solve(*random_rhs(A))
    assert ksp.getTolerances() == (1e-3, 1e-20, 1e5, 77)


@pytest.mark.parametrize("kind", MAKERS)
def test_after_an_exception_the_ksp_is_as_strict_as_the_user_had_it(kind):
    if fast.library() is None:
        pytest.skip("without fast.c not before PETSc calls Python again")
    A = laplacian(20)
    ksp = interrupted(kind, A, ksp_error_if_not_converged=True)
    assert ksp.getErrorIfNotConverged()
    ksp.setErrorIfNotConverged(False)
    unlock(ksp)
    for seed in range(5):
        ksp.solve(*random_rhs(A, seed))
    assert not ksp.getErrorIfNotConverged()


@pytest.mark.parametrize("kind", MAKERS)
def test_after_an_exception_another_preconditioner_solves_to_the_users_tolerances(kind):
    A = laplacian(20)
    b, x = random_rhs(A)
    ksp = interrupted(kind, A, ksp_error_if_not_converged=True)
    ksp.getPC().setType("none")
    unlock(ksp)
    ksp.solve(b, x)
    reference = PETSc.KSP().create(A.comm)
    reference.setOperators(A)
    reference.setType("gmres")
    reference.setTolerances(rtol=1e-6)
    reference.getPC().setType("none")
    reference.solve(b, x)
    assert ksp.getIterationNumber() == reference.getIterationNumber() > 30
    assert ksp.getErrorIfNotConverged()


@pytest.mark.parametrize("learner", LEARNERS)
def test_after_an_exception_a_bare_application_sweeps_the_new_matrix(learner):
    A, B = laplacian(20), laplacian(20)
    B.scale(100.0)
    ksp = interrupted(learner, A)
    ksp.setOperators(B)
    ksp.getPC().setUp()
    b, y = random_rhs(B)
    ksp.getPC().apply(b, y)
    sor, z = PETSc.PC().create(B.comm), y.duplicate()
    PETSc.Options("bare_")["pc_sor_omega"] = repr(tuner(ksp).omega)
    sor.setOptionsPrefix("bare_")
    sor.setType("sor")
    sor.setOperators(B)
    sor.setFromOptions()
    sor.apply(b, z)
    assert y.equal(z)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_second_ksp_with_the_same_pc_keeps_its_tolerances(learner):
    A = laplacian(20)
    ksp = interrupted(learner, A)
    unlock(ksp)
    second = PETSc.KSP().create(A.comm)
    second.setPC(ksp.getPC())
    second.setType("gmres")
    second.setTolerances(rtol=1e-2, max_it=50)
    for seed in range(3):
        second.solve(*random_rhs(A, seed))
        ksp.solve(*random_rhs(A, seed))
        assert second.getTolerances()[0::3] == (1e-2, 50)
        assert ksp.getTolerances()[0] == 1e-6


class Operator:
    """A matrix known by its products, which an application may interrupt."""

    def __init__(self, A, tick):
        self.A, self.tick = A, tick

    def mult(self, _, x, y):
        self.tick()
        self.A.mult(x, y)


def interruptible(how, N, A):
    """A solver whose application raises at the N-th call of one of its functions."""
    calls = itertools.count(1)

    def tick(*_):
        if next(calls) == N:
            raise Stop

    ksp = make("tsallis_inf", A, pc_sorlearn_seed=3)
    if how == "monitor":
        ksp.setMonitor(tick)
    elif how == "convergence test":
        ksp.setConvergenceTest(lambda ksp, its, norm: tick() or (2 if norm < 1e-8 else 0))
    else:
        product = PETSc.Mat().createPython(A.getSizes(), Operator(A, tick), comm=A.comm)
        product.setUp()
        ksp.setOperators(product, A)
    return ksp


@pytest.mark.parametrize("how", ["monitor", "convergence test", "operator"])
def test_no_exception_of_the_applications_is_swallowed(how):
    """Wherever it is raised, also inside a repeat or a continuation."""
    A = laplacian(20)
    for N in range(20, 50):
        ksp = interruptible(how, N, A)
        with pytest.raises(STOPPED) as caught:
            for seed in range(12):
                ksp.solve(*random_rhs(A, seed))
        error = caught.value
        while error.__cause__:
            error = error.__cause__
        assert isinstance(error, Stop)


def bratu(**options):
    """Newton iterations and solutions of some Bratu problems, by a trust region."""
    n, prefix = 12, f"attack{next(_numbers)}_"
    for name, value in {"snes_type": "newtontr", "ksp_type": "gmres", **options}.items():
        PETSc.Options(prefix)[name] = value
    A, L, cell = laplacian(n), laplacian(n), 1.0 / (n + 1) ** 2
    u, residual = A.createVecs()
    snes, exponential, iterations, solutions = PETSc.SNES().create(A.comm), u.duplicate(), [], []

    def function(snes, u, F):
        L.mult(u, F)
        u.copy(exponential)
        exponential.exp()
        F.axpy(-cell * strength, exponential)
        F.axpy(-cell, source)

    def jacobian(snes, u, J, P):
        fill(P, n)
        u.copy(exponential)
        exponential.exp()
        exponential.scale(-cell * strength)
        exponential.shift(4.0)
        P.setDiagonal(exponential)

    snes.setOptionsPrefix(prefix)
    snes.setFunction(function, residual)
    snes.setJacobian(jacobian, A, A)
    snes.setTolerances(rtol=1e-10, max_it=100)
    snes.setFromOptions()
    for step in range(8):
        strength, source = 3.0 + 0.5 * np.sin(step), random_rhs(A, step)[0]
        source.scale(50.0)
        u.set(0.0)
        snes.solve(None, u)
        iterations.append(snes.getIterationNumber())
        solutions.append(u.getArray().copy())
    return iterations, solutions, snes.getKSP()


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_trust_region_is_left_alone(learner):
    expected = bratu(pc_type="sor")
    found = bratu(pc_type="python", pc_python_type="sorlearn.PC", pc_sorlearn_learner=learner)
    assert found[0] == expected[0]
    assert np.array_equal(found[1], expected[1])
    assert "trust region" in tuner(found[2]).position


def blocks(values, n=10):
    """Tridiagonal in blocks of two unknowns."""
    A = PETSc.Mat().createAIJ((2 * n, 2 * n), bsize=2, nnz=6, comm=PETSc.COMM_SELF)
    for i in range(n):
        for j, scale in ((i - 1, -1.0), (i, 4.0), (i + 1, -1.0)):
            if 0 <= j < n:
                A.setValuesBlocked([i], [j], scale * np.array(values))
    A.assemble()
    return A


@pytest.mark.parametrize("kind", [*LEARNERS, "fixed"])
def test_a_failure_of_the_preconditioner_is_passed_on(kind):
    """Pivots of blocks are zero: PCSOR says so, and KSP ends with DIVERGED_PC_FAILED."""
    A, reasons = blocks([[1.0, 1.0], [1.0, 1.0]]), []
    for each in ("native", kind):
        options = {"pc_sorlearn_learner": "fixed"} if each == "fixed" else {}
        ksp = make("auto" if each == "fixed" else each, A, **options)
        ksp.solve(*random_rhs(A))
        reasons.append((ksp.getConvergedReason(), ksp.getIterationNumber()))
    assert reasons[0] == reasons[1] == (PETSc.KSP.ConvergedReason.DIVERGED_PCSETUP_FAILED, 0)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_shift_makes_up_for_a_diagonal_of_zeros(learner, capfd):
    """Nothing can be read off such a matrix, which is no reason to stop learning."""
    A = PETSc.Mat().createAIJ((20, 20), nnz=3, comm=PETSc.COMM_SELF)
    for i in range(20):
        for j in range(max(i - 1, 0), min(i + 2, 20)):
            A.setValue(i, j, 0.0 if i == j else -1.0)
    A.assemble()
    ksp = make(learner, A, pc_sor_diagonal_shift=4.0)
    for seed in range(3):
        ksp.solve(*random_rhs(A, seed))
        assert ksp.getConvergedReason() > 0
    assert "learning stops" not in capfd.readouterr().err
    assert len(tuner(ksp).records) == 3


@pytest.mark.parametrize("kind", MAKERS)
def test_all_iterations_are_counted_once(kind):
    """SNES and TS ask the KSP for its iterations in all; repeats of failed solves are among them."""
    A, counted, total = laplacian(24), 0, ctypes.c_int64()
    ksp = make(kind, A, ksp_rtol=1e-12, ksp_max_it=25)
    for seed in range(12):
        ksp.solve(*random_rhs(A, seed))
        counted += ksp.getIterationNumber()
    ctypes.PyDLL(PETSc.__file__).KSPGetTotalIterations(ctypes.c_void_p(ksp.handle), ctypes.byref(total))
    assert counted == total.value >= 12 * 25


@pytest.mark.parametrize("learner", LEARNERS)
def test_an_absolute_tolerance_counts_in_the_users_test(learner):
    """The size of b goes over nine decades, so that now rtol and now atol decides."""
    A, tests, rng = laplacian(16, -0.01), [], np.random.default_rng(5)
    ksp = make(learner, A, ksp_rtol=1e-4, ksp_atol=1e-5)
    reasons = set()
    for seed in range(200):
        b, x = random_rhs(A, seed)
        b.scale(10.0 ** rng.uniform(-5, 4))
        ksp.solve(b, x)
        reasons.add(int(ksp.getConvergedReason()))
        tests.append(user_test(ksp, b, x))
    assert reasons == {2, 3}
    assert max(tests) <= 3.0 and np.mean(np.array(tests) > 1.5) <= 0.01, sorted(tests)[-8:]


def test_options_that_are_set_again_are_heeded():
    A, prefix = laplacian(14), f"attack{next(_numbers)}_"
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(A)
    kept = sorlearn.attach(ksp)
    for seed in range(30):
        ksp.solve(*random_rhs(A, seed))
    PETSc.Options(prefix)["pc_sorlearn_learner"] = "fixed"
    PETSc.Options(prefix)["pc_sorlearn_omega"] = 1.3
    ksp.setFromOptions()
    assert tuner(ksp) is kept
    for seed in range(5):
        ksp.solve(*random_rhs(A, seed))
        assert kept.omega == 1.3


@pytest.mark.parametrize("context", [4.0, [0.0, 10.0], (0.0,), "step"])
def test_a_context_that_attach_cannot_use_is_refused(context):
    ksp = PETSc.KSP().create()
    with pytest.raises(OptionError, match="least, most"):
        sorlearn.attach(ksp, context=context)
