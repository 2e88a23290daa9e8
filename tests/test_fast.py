"""fast.c: solves that go by without Python are what they were with it, and PETSc's error codes arrive."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import FLAGS, ROOT, SWITCH, pkg_config, run
from petsc4py import PETSc
from systems import fill, laplacian, native, random_rhs, solver
from test_ksp import GUARDED

import sorlearn
from sorlearn.petsc import build, fast
from sorlearn.tuning.repeat import LONGEST
from sorlearn.tuning.session import Session

SOLVES, FEWER = 300, 200  # on one rank, and on several
number = itertools.count()
#: A program that solves with a matrix whose diagonal has a hole, and returns PETSc's error code.
HOLE = r"""
#include <petscksp.h>
int main(int argc, char **argv)
{
  Mat A; Vec b; KSP ksp; PetscErrorCode code; PetscInt i;
  PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
  PetscCall(MatCreateSeqAIJ(PETSC_COMM_SELF, 9, 9, 2, NULL, &A));
  for (i = 0; i < 9; i++) PetscCall(MatSetValue(A, i, (i + 1) % 9, 1.0, INSERT_VALUES));
  for (i = 0; i < 9; i++) PetscCall(MatSetValue(A, i, i, i < 8 ? 2.0 : 0.0, INSERT_VALUES));
  PetscCall(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY)); PetscCall(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatCreateVecs(A, NULL, &b)); PetscCall(VecSet(b, 1.0));
  PetscCall(KSPCreate(PETSC_COMM_SELF, &ksp)); PetscCall(KSPSetOperators(ksp, A, A)); PetscCall(KSPSetFromOptions(ksp));
  code = KSPSolve(ksp, b, b);
  return (int)code;
}
"""

pytestmark = pytest.mark.skipif(os.environ.get(SWITCH) == "0", reason=f"{SWITCH}=0")


@pytest.fixture
def attached(monkeypatch):
    """Function that sets the way solves go."""
    return lambda on: monkeypatch.setenv(SWITCH, "1" if on else "0")


def tuner(ksp):
    return ksp.getPC().getPythonContext()


def march(prefix, disturb=lambda ksp, t: None, n=8, solves=SOLVES, scale=lambda t: 2.0 + np.sin(0.02 * t), **options):
    """(iterations, reason, ω, solution) of solves with a matrix that changes slowly."""
    A = laplacian(n)
    ksp = solver(A, prefix, **options)
    b, x = random_rhs(A)
    found = []
    for t in range(solves):
        fill(A, n, shift=-1.0, scale=scale(t))
        ksp.setOperators(A)
        disturb(ksp, t)
        try:
            ksp.solve(b, x)
        except PETSc.Error as error:
            found.append(("error", error.ierr))
        found.append((ksp.getIterationNumber(), ksp.getConvergedReason(), tuner(ksp).omega, x.norm()))
        found.append((*ksp.getTolerances(), ksp.getErrorIfNotConverged()))
    tuner(ksp)._take_back()
    entered = len(tuner(ksp).records)
    ksp.destroy()
    return found, entered


def fails_at_times(ksp, t):
    ksp.setTolerances(max_it=2 if t % 60 > 57 else 1000)


def guesses(ksp, t):
    ksp.setInitialGuessNonzero(True)
    ksp.setTolerances(rtol=1e-5 if t % 50 else 1e-12)


def insists(ksp, t):
    ksp.setErrorIfNotConverged(True)  # PETSc counts levels of solves wrongly after such an error: so there is none


@pytest.mark.parametrize("disturb", [lambda ksp, t: None, fails_at_times, guesses, insists])
@pytest.mark.parametrize("options", [
    {"ksp_norm_type": "unpreconditioned"}, {}, {"ksp_type": "gmres", "ksp_rtol": 1e-8}, {"ksp_type": "bcgs"},
])  # fmt: skip
def test_a_run_is_the_same_as_in_python(disturb, options, attached):
    ways = []
    for on in (True, False):
        attached(on)
        ways.append(march(f"same{next(number)}_", disturb, **options))
    assert ways[0][1] == ways[1][1] < SOLVES  # decisions, and some were repeated
    for in_c, in_python in zip(ways[0][0], ways[1][0]):
        assert in_c == pytest.approx(in_python, rel=1e-9)


def test_iterations_that_rise_and_fall_as_omega_follows_are_alike_in_c_as_in_python(attached, monkeypatch):
    original, ways, entered = Session.repeated, [], []

    def watched(self, solve):
        entered.append(self.standing.like(solve.outcome.iterations))
        return original(self, solve)

    monkeypatch.setattr(Session, "repeated", watched)
    options = {"n": 16, "solves": 700, "scale": lambda t: 10.0 ** np.sin(0.01 * t)}
    for on in (True, False):
        attached(on)
        entered.clear()
        how = {**options, "ksp_norm_type": "unpreconditioned", "ksp_rtol": 1e-8}
        ways.append((*march(f"alike{next(number)}_", **how), entered.count(True)))
    assert ways[0][1] == ways[1][1]
    for in_c, in_python in zip(ways[0][0], ways[1][0]):
        assert in_c == pytest.approx(in_python, rel=1e-9)
    assert ways[0][2] == 0 < ways[1][2]


@pytest.mark.parallel(2, 3)
@pytest.mark.parametrize("disturb", [lambda ksp, t: None, fails_at_times], ids=["smooth", "fails"])
def test_ranks_repeat_decisions_together(disturb, nprocs):
    """Each sees another part of the matrix, and rank 0 alone knows what was learned."""
    comm = PETSc.COMM_WORLD.tompi4py()
    found, decided = march(f"ranks{next(number)}_", disturb, n=16, solves=FEWER, ksp_norm_type="unpreconditioned")
    assert all(one == found for one in comm.allgather(found))
    assert comm.bcast(decided) < FEWER  # some were repeated
    assert len({entry[2] for entry in found[::2]}) > 5


@pytest.mark.parallel(2)
def test_an_error_on_rank_0_ends_the_repeats_everywhere(capfd, monkeypatch, nprocs):
    charge, calls = Session.charge, []

    def fails(self, solve):
        calls.append(self.standing.decision.repeats)
        if self.standing.decision.repeats and len(calls) > 35:
            raise RuntimeError("injected")
        return charge(self, solve)

    monkeypatch.setattr(Session, "charge", fails)
    found, _ = march("broken_", n=16, solves=FEWER, ksp_norm_type="unpreconditioned")
    assert all(entry[1] > 0 for entry in found[::2]) and len({entry[2] for entry in found[-20::2]}) == 1
    assert PETSc.COMM_WORLD.rank > 0 or capfd.readouterr().err.count("RuntimeError: injected") == 1


@pytest.mark.parallel(2)
def test_a_watched_run_on_ranks_is_the_same_run(capfd, nprocs):
    plain, decided = march("plain_", n=12, solves=FEWER)
    seen, records = march("seen_", n=12, solves=FEWER, pc_sorlearn_journal=os.devnull)
    assert seen == plain
    assert PETSc.COMM_WORLD.rank > 0 or (records == FEWER > decided)


@pytest.mark.parallel(3)
def test_ranks_without_rows_go_along(nprocs):
    found, _ = march("few_", n=1, solves=FEWER)
    assert all(reason > 0 for _, reason, _, _ in found[::2])


def test_python_is_called_for_decisions_only(monkeypatch):
    calls = []

    def count(name):
        original = getattr(sorlearn.PC, name)
        monkeypatch.setattr(sorlearn.PC, name, lambda *arguments: calls.append(name) or original(*arguments))

    for name in ("preSolve", "postSolve", "apply", "setUp"):
        count(name)
    _, decided = march("rarely_", ksp_norm_type="unpreconditioned")
    assert calls.count("setUp") == 1
    assert decided <= calls.count("preSolve") <= decided + 20
    assert calls.count("apply") <= decided


GUARD = {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": "cg"}


@pytest.mark.parametrize("disturb", [lambda ksp, t: None, fails_at_times, guesses])
@pytest.mark.parametrize("options", [{"ksp_norm_type": "unpreconditioned"}, {"sorlearn_ksp_type": "gmres"}])
def test_the_guarded_solver_is_the_same_as_in_python(disturb, options, attached):
    ways = []
    for on in (True, False):
        attached(on)
        ways.append(march(f"guard{next(number)}_", disturb, n=16, **{**GUARD, **options}))
    assert ways[0][1] == ways[1][1] < SOLVES
    for in_c, in_python in zip(ways[0][0], ways[1][0]):
        assert in_c == pytest.approx(in_python, rel=1e-9)


@pytest.mark.parallel(1, 2)
def test_the_guarded_solver_calls_python_for_decisions_only(monkeypatch, nprocs):
    """On every rank once for the outer solver, unless it is given something to show."""
    calls, runs = [], []
    before, outer = sorlearn.PC.preSolve, sorlearn.KSP._run
    monkeypatch.setattr(sorlearn.PC, "preSolve", lambda *arguments: calls.append(1) or before(*arguments))
    monkeypatch.setattr(sorlearn.KSP, "_run", lambda *arguments, **how: runs.append(1) or outer(*arguments, **how))
    show = next(number)

    def shows(ksp, t):
        if t == FEWER - 2:
            ksp.setMonitor(lambda ksp, its, norm: runs.append(show))

    found, decided = march(f"rarelyguard{show}_", shows, n=16, solves=FEWER, ksp_norm_type="unpreconditioned", **GUARD)
    decided = PETSc.COMM_WORLD.tompi4py().bcast(decided)
    assert len(calls) <= decided + 5 < FEWER / 2
    assert runs.count(1) == 3 and runs.count(show) >= 2
    assert max(entry[2] for entry in found[::2]) > 1.0 and all(entry[1] > 0 for entry in found[::2])


@pytest.mark.parallel(1, 2)
def test_a_fixed_omega_needs_no_python(monkeypatch, nprocs):
    calls = []
    original = sorlearn.PC.preSolve
    monkeypatch.setattr(sorlearn.PC, "preSolve", lambda *arguments: calls.append(1) or original(*arguments))
    found, _ = march("fixed_", solves=FEWER, pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5)
    assert len(calls) == 1
    assert {entry[2] for entry in found[::2]} == {1.5}


def test_what_a_subclass_does_is_not_passed_by():
    applied = []

    class Counts(sorlearn.PC):
        def apply(self, pc, x, y):
            applied.append(1)
            super().apply(pc, x, y)

    A = laplacian(8)
    b, x = random_rhs(A)
    ksp = PETSc.KSP().create()
    ksp.setOptionsPrefix("counts_")
    ksp.setOperators(A)
    ksp.getPC().setType("python")
    ksp.getPC().setPythonContext(Counts())
    ksp.setFromOptions()
    ksp.solve(b, x)
    assert len(applied) >= ksp.getIterationNumber() > 0


def test_another_type_or_context_takes_over():
    A = laplacian(8)
    b, x = random_rhs(A)
    ksp = PETSc.KSP().create()
    ksp.setOptionsPrefix("changes_")
    ksp.setOperators(A)
    ksp.setType("cg")
    sorlearn.attach(ksp)
    ksp.solve(b, x)
    pc = ksp.getPC()
    pc.setType("jacobi")
    ksp.solve(b, x)
    jacobi = native(A, "jacobi_", ksp_type="cg")
    jacobi.getPC().setType("jacobi")
    jacobi.solve(b, x)
    assert ksp.getIterationNumber() == jacobi.getIterationNumber()
    for _ in range(3):
        sorlearn.attach(ksp)
        ksp.solve(b, x)
        sorlearn.attach(ksp, learner="fixed", omega=1.3)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0 and tuner(ksp).omega == 1.3
        ksp.reset()
        ksp.setOperators(A)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0


def test_after_an_exception_in_a_repeat_the_ksp_is_the_users():
    A = laplacian(8)
    b, x = random_rhs(A)
    ksp = solver(A, "raises_", ksp_type="cg", ksp_error_if_not_converged="")
    given = ksp.getTolerances()
    for _ in range(SOLVES):
        ksp.solve(b, x)
    state, raised = tuner(ksp)._unattended.state, []

    def stop(ksp, its, norm):
        if its == 1 and state.running and not raised:
            raised.append(its)
            raise RuntimeError("the application's")

    ksp.setMonitor(stop)
    with pytest.raises((RuntimeError, PETSc.Error)):
        for _ in range(SOLVES):
            ksp.solve(b, x)
    assert state.running
    ksp.solve(b, x)
    assert ksp.getTolerances() == given and ksp.getErrorIfNotConverged() and not state.running
    assert ksp.getConvergedReason() > 0


@pytest.fixture(scope="session")
def hole(tmp_path_factory):
    source = tmp_path_factory.mktemp("hole") / "hole.c"
    source.write_text(HOLE)
    rpath = "-Wl,-rpath," + pkg_config("--variable=libdir")[0]
    run(1, "mpicc", source, *pkg_config("--cflags", "--libs"), rpath, "-o", source.with_suffix(""))
    return source.with_suffix("")


@pytest.mark.parametrize(("flags", "on"), [(FLAGS, "1"), (f"{GUARDED} gmres", "1"), (f"{GUARDED} gmres", "0")])
def test_error_codes_reach_a_c_application(hole, flags, on):
    native = run(1, hole, options="-pc_type sor", check=False)
    learned = run(1, hole, options=flags, env={SWITCH: on}, check=False)
    assert native.returncode == learned.returncode > 0
    assert "SOR can't be applied to this matrix" in learned.stderr


def test_what_was_compiled_for_something_else_is_left_out(monkeypatch):
    monkeypatch.setattr(fast, "_built_for", lambda: [3, 0, 0, 8, 8, 4, ctypes.sizeof(fast.State)])
    assert fast._load.__wrapped__() == (None, f"{build.library_name(PETSc)} was compiled for something else")


def test_the_view_says_why_it_is_left_out(attached, tmp_path):
    for on in (True, False):
        attached(on)
        ksp = solver(laplacian(4), f"view{on:d}_")
        viewer = PETSc.Viewer().createASCII(str(tmp_path / f"view{on:d}"))
        ksp.view(viewer)
        viewer.destroy()
        assert (f"{SWITCH}=0" in (tmp_path / f"view{on:d}").read_text()) is not on


def test_it_compiles_without_sorlearn_and_complains_without_a_compiler(tmp_path):
    script = ROOT / "sorlearn/petsc/build.py"
    done = run(1, sys.executable, script, tmp_path, cwd=tmp_path)
    assert os.listdir(tmp_path) == [done.stdout.strip().rpartition("/")[2]]
    failed = subprocess.run(
        [sys.executable, script, tmp_path / "nowhere"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert failed.returncode == 1 and "Error" in failed.stderr


def test_what_was_compiled_from_another_fast_c_is_left_out(monkeypatch, tmp_path):
    """As after a pull; compiling anew replaces it."""
    source = tmp_path / "fast.c"
    source.write_bytes(build.SOURCE.read_bytes())
    shutil.copy(build.HERE / "build.py", tmp_path)
    compile_it = [sys.executable, tmp_path / "build.py"]
    before = run(1, *compile_it).stdout.strip()
    source.write_bytes(source.read_bytes() + b"/* more */\n")
    monkeypatch.setattr(build, "SOURCE", source)
    monkeypatch.setattr(fast, "HERE", tmp_path)
    found, why = fast._load.__wrapped__()
    assert found is None and why.startswith("there is no fast-")
    after = run(1, *compile_it).stdout.strip()
    assert after != before and [str(path) for path in tmp_path.glob("*.so")] == [after]
    assert fast._load.__wrapped__()[0]


def test_all_repeats_of_a_decision_can_be_kept_for_the_journal():
    assert fast.KEPT > LONGEST
