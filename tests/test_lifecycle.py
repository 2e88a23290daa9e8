"""Solvers come and go, matrices change: what was learned stays, and memory stays flat."""

from __future__ import annotations

import itertools
import sys
import weakref

import numpy as np
import pytest
from conftest import FLAGS, ROOT, run
from petsc4py import PETSc
from systems import fill, from_options, laplacian, native, random_rhs, solver, true_residual

import sorlearn
from sorlearn.petsc import delegate, fast
from sorlearn.records import checkpoint

_numbers = itertools.count()


def fresh():
    """A prefix that nothing has been learned for."""
    return f"life{next(_numbers)}_"


def context(ksp):
    return ksp.getPC().getPythonContext()


def solves(ksp):
    """Solves that the session has seen, on all ranks, those that have gone by without Python included."""
    context(ksp)._take_back()
    session = context(ksp)._tuned.session
    count = np.array([session.books.solves if session else 0])
    return int(ksp.comm.tompi4py().bcast(count)[0]) if ksp.comm.size > 1 else int(count[0])


def learn(ksp, A, times):
    chosen = []
    for seed in range(times):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        assert true_residual(A, b, x) < 1e-3
        chosen.append(context(ksp)._tuned.decision.omega)
    return chosen


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("prefixes", ["the same", "an id"])
def test_a_solver_rebuilt_every_step_goes_on_learning(prefixes):
    A, prefix = laplacian(10), fresh()
    for step in range(6):
        name = prefix if prefixes == "the same" else f"{prefix}{140234567 + 32 * step}_"
        ksp = solver(A, name)
        learn(ksp, A, 3)
        assert solves(ksp) == 3 * (step + 1)
        ksp.destroy()


@pytest.mark.parallel(1, 2)
def test_rebuilt_or_not_makes_no_difference_to_the_choices():
    A = laplacian(10)
    one, rebuilt, chosen = solver(A, fresh()), fresh(), []
    for seed in range(12):
        ksp = solver(A, rebuilt, pc_sorlearn_learner="tsallis_inf")
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        chosen.append(context(ksp)._tuned.decision.omega)
        ksp.destroy()
    one = solver(A, fresh(), pc_sorlearn_learner="tsallis_inf")
    assert chosen == learn(one, A, 12)


def test_rebuilt_or_not_decisions_are_repeated_alike():
    A, chosen = laplacian(10), []
    for rebuilds in (False, True):
        prefix, ksp, found = fresh(), None, []
        for step in range(120):
            fill(A, 10, shift=-0.1 * (1.1 + np.sin(step / 20)))
            if ksp is None or rebuilds:
                ksp = solver(A, prefix)
            ksp.setOperators(A)
            b, x = random_rhs(A, step)
            ksp.solve(b, x)
            found.append((ksp.getIterationNumber(), context(ksp).omega))
            if rebuilds:
                ksp.destroy()
        chosen.append(found)
    assert len({omega for _, omega in chosen[0]}) > 20
    assert [its for its, _ in chosen[0]] == [its for its, _ in chosen[1]]
    assert [omega for _, omega in chosen[0]] == pytest.approx([omega for _, omega in chosen[1]], rel=1e-9)


@pytest.mark.parallel(1, 2)
def test_live_solvers_with_one_prefix_have_learners_of_their_own():
    A, prefix = laplacian(10), fresh()
    one, two = solver(A, prefix), solver(A, prefix)
    learn(one, A, 5)
    learn(two, A, 2)
    assert (solves(one), solves(two)) == (5, 2)
    assert context(one)._tuned._slot is not context(two)._tuned._slot
    one.destroy()
    two.destroy()
    back = [solver(A, prefix) for _ in range(2)]
    for ksp in back:
        learn(ksp, A, 1)
    assert sorted(solves(ksp) for ksp in back) == [3, 6]


@pytest.mark.parallel(1, 2)
def test_a_group_shares_one_learner():
    A, group = laplacian(10), fresh()
    one, two, other = (
        solver(A, fresh(), pc_sorlearn_group=name, ksp_norm_type="unpreconditioned")  # or the safe ω were audited
        for name in (group + "a", group + "a", group + "b")
    )
    for ksp in (one, two, other):
        learn(ksp, A, 3)
    sessions = [context(ksp)._tuned.session for ksp in (one, two, other)]
    if all(sessions):
        assert sessions[0].learner is sessions[1].learner is not sessions[2].learner
        assert sessions[0].learner.rounds == 6


@pytest.mark.parallel(1, 2)
def test_values_change():
    A = laplacian(10)
    ksp = solver(A, fresh())
    for step in range(8):
        fill(A, 10, shift=-0.5 * (step % 3), scale=1.0 + step)
        ksp.setOperators(A)
        learn(ksp, A, 2)
    assert solves(ksp) == 16


@pytest.mark.parallel(1, 2)
def test_pattern_changes():
    ksp, prefix = None, fresh()
    for step in range(6):
        A = laplacian(10)
        if step % 2:  # one more diagonal
            A.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
            low, high = A.getOwnershipRange()
            for row in range(low, min(high, 97)):
                A.setValue(row, row + 3, -0.1)
                A.setValue(row + 3, row, -0.1)
            A.assemble()
        if ksp is None:
            ksp = solver(A, prefix, ksp_type="gmres")
        else:
            ksp.setOperators(A)
        learn(ksp, A, 2)
    assert solves(ksp) == 12


@pytest.mark.parallel(1, 2)
def test_size_changes_with_reset():
    ksp, counts = solver(laplacian(6), fresh()), []
    for n in (6, 9, 12, 6, 9):
        A = laplacian(n)
        ksp.reset()
        ksp.setOperators(A)
        learn(ksp, A, 2)
        counts.append(solves(ksp))
    assert counts == [2, 2, 2, 4, 4]  # it goes on with what was learned for this size before


@pytest.mark.parallel(1, 2)
def test_reused_preconditioner_sweeps_the_matrix_that_it_was_set_up_for():
    A, B = laplacian(10), laplacian(10, shift=-3.0)
    options = {"pc_sorlearn_learner": "fixed", "pc_sorlearn_omega": 1.4}
    ksp, sor = solver(A, fresh(), **options), native(A, pc_sor_omega=1.4)
    for one in (ksp, sor):
        b, x = random_rhs(A)
        one.solve(b, x)
        one.getPC().setReusePreconditioner(True)
        one.setOperators(B)
    for seed in range(3):
        results = []
        for one in (ksp, sor):
            b, x = random_rhs(B, seed)
            one.solve(b, x)
            results.append((one.getIterationNumber(), x.getArray().copy()))
        assert results[0][0] == results[1][0]
        assert np.array_equal(results[0][1], results[1][1])


@pytest.mark.parallel(1, 2)
@pytest.mark.both_ways
@pytest.mark.parametrize(("kind", "options"), [
    ("aij", {}),
    ("baij", {}),
    ("aij", {"pc_python_type": "sorlearn.Lag", "lag_pc_type": "bjacobi"}),
])
def test_options_read_before_every_solve(kind, options):
    """petsc4py makes the Python context anew, which PETSc then takes for set up."""
    A = laplacian(10).convert(kind)
    ksp = solver(A, f"again_{kind}_{len(options)}_", **options)
    for seed in range(4):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) < 1e-3
        ksp.setFromOptions()
        if seed == 2:
            ksp.getPC().apply(b, x)
            assert 0.0 < x.norm() < float("inf")


def test_a_new_matrix_at_an_old_address_is_looked_at():
    """Same address, same state count, other values: only PETSc's id tells them apart."""
    from sorlearn.petsc.context import Features

    features, seen, handles = Features(), [], set()
    for step in range(40):
        A = laplacian(6, shift=-1.0 * (step % 2))
        seen.append(features.look(A)[0])
        handles.add(A.handle)
        A.destroy()
    assert seen[0] != seen[1]
    assert seen == seen[:2] * 20


def test_a_new_solver_at_an_old_address_is_looked_at():
    """It keeps its first residual norm, which answers are judged by."""
    A = laplacian(10)
    pc, handles = solver(A, fresh()).getPC(), set()
    for step in range(40):
        ksp = PETSc.KSP().create()
        ksp.setType("cg")
        ksp.setOperators(A)
        ksp.setPC(pc)
        ksp.solve(*random_rhs(A, step))
        assert len(ksp.getConvergenceHistory()) == 1
        handles.add(ksp.handle)
        ksp.destroy()
    assert len(handles) < 40


def test_attach_again_and_change_of_type():
    A = laplacian(8)
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOptionsPrefix(fresh())
    ksp.setOperators(A)
    ksp.setType("cg")
    for _ in range(3):
        tuner = sorlearn.attach(ksp, learner="tsallis_inf")
        ksp.solve(*random_rhs(A))
        ksp.getPC().setType("jacobi")
        ksp.solve(*random_rhs(A))
        assert tuner._tuned is None
    sorlearn.attach(ksp, learner="tsallis_inf")
    learn(ksp, A, 1)
    assert solves(ksp) == 4


@pytest.mark.parametrize(
    ("case", "kind", "count", "most"),
    [
        ("a solve", "sorlearn", 60000, 16),
        ("a solve, matrix changes", "sorlearn", 10000, 16),
        ("a solver", "sorlearn", 5000, 300),
        ("a solver, new prefix", "sorlearn", 5000, 300),
        ("a solver", "arms", 6000, 300),
    ],
)
def test_flat_memory(case, kind, count, most):
    """Bytes by which the process grows: a float kept a solve would be 24, a session a solver several thousand."""
    code = f"import memory; print(memory.CASES[{case!r}]({kind!r}, {count}))"
    assert float(run(1, sys.executable, "-c", code, cwd=ROOT / "benchmarks").stdout) < most


class Life:
    """Ends with the solver that it is an attribute of."""


def ends_in_an_error(ksp, A, after, at=1):
    """Solve, and have the application's monitor end what comes after so many solves; returns what ends with the KSP."""
    life = Life()
    ksp.setAttr("life", life)
    for seed in range(after):
        ksp.solve(*random_rhs(A, seed))

    def monitor(ksp, iteration, norm):
        if iteration == at:
            raise ZeroDivisionError

    ksp.setMonitor(monitor)
    with pytest.raises((PETSc.Error, ZeroDivisionError)):
        ksp.solve(*random_rhs(A))
    delegate.cancel_monitors(ksp)
    return weakref.ref(life)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("after", [0, 80])
@pytest.mark.parametrize("kind", ["sorlearn.PC", "sorlearn.Lag"])
def test_a_solver_ends_when_it_is_destroyed_also_after_an_error(kind, after, strict):
    A = laplacian(10)
    ksp = solver(A, fresh(), pc_python_type=kind, lag_pc_type="jacobi", ksp_error_if_not_converged=strict)
    life = ends_in_an_error(ksp, A, after)
    ksp.destroy()
    assert life() is None


@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("after", [0, 80, 81, 82, 83])
def test_a_preconditioner_is_applied_after_an_error_and_tolerances_are_the_user_s(after, at):
    A = laplacian(10, shift=-0.05)
    ksp = solver(A, fresh())
    asked, (b, x) = ksp.getTolerances(), random_rhs(A)
    life, pc = ends_in_an_error(ksp, A, after, at), ksp.getPC()
    if fast.library():
        assert ksp.getTolerances() == asked
    ksp.destroy()
    assert life() is None
    for _ in range(40):  # as many as might be counted for something
        pc.apply(b, x)
    assert x.norm() > 0.0


@pytest.mark.parametrize("destroyed", [False, True])
@pytest.mark.parametrize("after", [0, 80])
def test_a_preconditioner_goes_on_elsewhere_after_an_error(after, destroyed):
    A = laplacian(10)
    ksp, other = solver(A, fresh()), native(A)
    asked = ksp.getTolerances()
    life, pc = ends_in_an_error(ksp, A, after), ksp.getPC()
    if destroyed:
        ksp.destroy()
        assert life() is None
    other.setPC(pc)
    b, x = random_rhs(A)
    other.solve(b, x)
    assert true_residual(A, b, x) < 1e-3
    assert destroyed or ksp.getTolerances() == asked
    other.destroy()


def test_registry_forgets_the_oldest_kinds():
    from sorlearn.tuning.registry import Registry

    registry = Registry()
    for i in range(1000):
        registry.acquire((f"s{i}_", i), object, lambda: None)
        registry.release((f"s{i}_", i), object())
    assert len(registry.waiting) <= Registry.LIMIT
    assert not registry.in_use


EXITS = {
    "module level": "",
    "never set up": "other = from_options(A, 'other_')",
    "put in by code": "pc = PETSc.PC().create(); pc.setType('python'); pc.setPythonContext(sorlearn.PC())",
    "another one": "pc = PETSc.PC().create(); pc.setType('python'); pc.setPythonType('sorlearn.Lag')",
    "a solver": "other = PETSc.KSP().create(); other.setType('python'); other.setPythonContext(sorlearn.KSP())",
    "a wrong option": """
other = PETSc.KSP().create()
PETSc.Options()["wrong_sorlearn_arms"] = "a,a"
other.setOptionsPrefix("wrong_")
other.setType("python")
other.setPythonType("sorlearn.KSP")
try:
    other.setFromOptions()
except (PETSc.Error, ValueError):
    pass
else:
    sys.exit("not refused")
""",
    "destroyed": "ksp.destroy()",
    "exit": "sys.exit(0)",
    "in a cycle": "cycle = [ksp, A]; cycle.append(cycle); del ksp",
    "attached": "tuner = sorlearn.attach(PETSc.KSP().create())",
}


@pytest.mark.parametrize("nprocs", [1, 2])
@pytest.mark.parametrize("last", EXITS)
def test_interpreter_exit(tmp_path, nprocs, last):
    script = tmp_path / "app.py"
    script.write_text(f"""
import sys
import petsc4py
petsc4py.init(sys.argv)
from petsc4py import PETSc
import sorlearn
sys.path.insert(0, {str(ROOT / "tests")!r})
from systems import from_options, laplacian, random_rhs
A = laplacian(8)
b, x = random_rhs(A)
ksp = from_options(A, "heat_")
ksp.solve(b, x)
sys.stdout.write("solved\\n" * (ksp.getConvergedReason() > 0))
{EXITS[last]}
""")
    options = " ".join(f"-{name}_pc_type python -{name}_pc_python_type sorlearn.PC" for name in ("heat", "other"))
    result = run(nprocs, sys.executable, "-W", "error", script, options=options, cwd=tmp_path)
    assert result.stdout.count("solved") == nprocs
    assert "Traceback" not in result.stderr and "Warning" not in result.stderr


#: 80 solves by a solver that is never destroyed, of a C application.
NEVER_DESTROYED = """
#include <petscksp.h>
int main(int argc, char **argv)
{
  const PetscInt n = 400;
  PetscInt       row, low, high, its;
  Mat            A;
  Vec            x, b;
  KSP            ksp;
  PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
  PetscCall(MatCreateAIJ(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, n, n, 3, NULL, 2, NULL, &A));
  PetscCall(MatGetOwnershipRange(A, &low, &high));
  for (row = low; row < high; row++) {
    if (row > 0) PetscCall(MatSetValue(A, row, row - 1, -1.0, INSERT_VALUES));
    if (row < n - 1) PetscCall(MatSetValue(A, row, row + 1, -1.0, INSERT_VALUES));
    PetscCall(MatSetValue(A, row, row, 2.01, INSERT_VALUES));
  }
  PetscCall(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatCreateVecs(A, &x, &b));
  PetscCall(KSPCreate(PETSC_COMM_WORLD, &ksp));
  PetscCall(KSPSetOperators(ksp, A, A));
  PetscCall(KSPSetFromOptions(ksp));
  for (its = 0; its < 80; its++) {
    PetscCall(VecSetRandom(b, NULL));
    PetscCall(KSPSolve(ksp, b, x));
  }
  return PetscFinalize();
}
"""
GUARD = "-python -ksp_type python -ksp_python_type sorlearn.KSP"
KEEPS = "-python -pc_type python -pc_python_type sorlearn.Lag -lag_pc_type bjacobi"
#: Files in which all solves are to be, by flags.
ALIVE = {
    f"{FLAGS} -pc_sorlearn_summary -pc_sorlearn_journal lines -pc_sorlearn_save state": ("lines", "state"),
    f"{FLAGS} -pc_sorlearn_summary -pc_sorlearn_save state": ("state",),
    f"{GUARD} -pc_sorlearn_summary -pc_sorlearn_save state": ("state",),
    f"{GUARD} -sorlearn_arms sor,blocks -sorlearn_blocks_pc_type bjacobi -sorlearn_arms_summary": (),
    f"{KEEPS} -lag_summary -lag_journal lines": ("lines",),
}


@pytest.fixture(scope="session")
def never_destroyed(compiled, tmp_path_factory):
    source = tmp_path_factory.mktemp("alive") / "never_destroyed.c"
    source.write_text(NEVER_DESTROYED)
    return compiled(source)


@pytest.mark.parametrize("nprocs", [1, 2])
@pytest.mark.parametrize("flags", ALIVE)
def test_what_is_alive_when_a_c_application_ends_counts_and_saves(never_destroyed, tmp_path, nprocs, flags):
    ended = run(nprocs, never_destroyed, options=flags, cwd=tmp_path)
    assert not ended.stderr and "ERROR" not in ended.stdout
    assert " 80 solves" in ended.stdout
    if "lines" in ALIVE[flags]:
        assert len((tmp_path / "lines").read_text().splitlines()) == 80
    if "state" in ALIVE[flags]:
        assert checkpoint.load(str(tmp_path / "state"), "")["solves"] == 80


def test_an_uncaught_exception_is_not_hidden(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from systems import laplacian, random_rhs, solver
A = laplacian(8)
ksp = solver(A)
ksp.solve(*random_rhs(A))
raise RuntimeError("the application's own")
"""
    result = run(1, sys.executable, "-c", code, check=False)
    assert result.returncode == 1
    assert result.stderr.rstrip().endswith("RuntimeError: the application's own")


#: Solvers that go out of reach; one of them, not sorlearn's, can't be destroyed, on which PETSc crashes at the end.
OUT_OF_REACH = """
import gc, os, sys
sys.path.insert(0, {tests!r})
from petsc4py import PETSc
from systems import laplacian, random_rhs, solver
class Foreign:
    def solve(self, ksp, b, x):
        ksp.setConvergedReason(2)
    def destroy(self, ksp):
        raise RuntimeError("foreign")
A = laplacian(8)
b, x = random_rhs(A)
foreign = PETSc.KSP().createPython(Foreign())
foreign.setOperators(A)
foreign.getPC().setType("none")
foreign.solve(b, x)
del foreign
for seed in range(5):
    ksp = solver(A, "heat_")
    ksp.solve(b, x)
    print(ksp.getConvergedReason() > 0 and len(ksp.getPC().getPythonContext().records) > 0, flush=True)
    del ksp
    gc.collect()
os._exit(0)
"""


@pytest.mark.skipif(PETSc.Sys.getVersion() > (3, 19), reason="PETSc 3.26 destroys at once, and crashes")
def test_a_solver_that_cannot_be_destroyed_ends_nobody_elses_learning(tmp_path):
    script = tmp_path / "app.py"
    script.write_text(OUT_OF_REACH.format(tests=str(ROOT / "tests")))
    done = run(1, sys.executable, script)
    assert done.stdout.split() == ["True"] * 5
    assert "learning stops" not in done.stderr


def test_importing_initialises_neither_petsc_nor_mpi():
    code = """
import sys
import sorlearn
print(sorlearn.__version__)
assert not [name for name in sys.modules if name.startswith(("petsc4py", "mpi4py"))]
"""
    assert run(1, sys.executable, "-W", "error", "-c", code).stdout


def test_from_options_with_nothing_given_stays_native():
    A = laplacian(6)
    ksp = from_options(A, fresh())
    ksp.solve(*random_rhs(A))
    assert ksp.getPC().getType() != "python"
