"""Whatever breaks inside learning, the application sees nothing of it: every solve converges, one message, ω stands."""

from __future__ import annotations

import sys

import pytest
from conftest import FLAGS, ROOT, run

from sorlearn.petsc import fast

#: What is made to fail: `module:Class.method`, or `module:function`.
SURFACE = [
    "tuning.session:Session.__init__", "tuning.session:Session.decide", "tuning.session:Session.charge",
    "tuning.session:Session.repeated", "tuning.session:Session.save", "tuning.session:Session.state",
    "tuning.session:Session._passed", "tuning.books:Books.enter", "tuning.books:Books.judge",
    "tuning.registry:Registry.acquire", "tuning.registry:Registry.release", "tuning.registry:Registry.session",
    "tuning.accuracy:Accuracy.due",
    "tuning.accuracy:Accuracy.tightening", "tuning.accuracy:Accuracy.note", "tuning.accuracy:Accuracy.earn",
    "tuning.accuracy:Accuracy.hopeless", "tuning.vetoes:Vetoes.allows", "tuning.vetoes:Vetoes.fallback",
    "tuning.vetoes:Vetoes.waiting", "tuning.vetoes:Vetoes.failed", "tuning.vetoes:Vetoes.charge",
    "tuning.repeat:Repeats.plan", "tuning.repeat:Repeats.decided", "tuning.repeat:Repeats.repeated",
    "tuning.baseline:Baseline.due", "tuning.baseline:Baseline.enter",
    "records.journal:Journal.__init__", "records.journal:Journal.write", "records.log:Log.write",
    "records.saved:Saved.sometimes", "records.checkpoint:save", "records.checkpoint:load",
    "records.summary:Tally.count", "petsc.context:Features.__init__", "petsc.context:Features.look",
    "petsc.context:Features.context", "petsc.collective:Comm.__init__", "learners.auto:Auto.__init__",
    "learners.auto:Auto._choose", "learners.auto:Auto._update", "learners.base:Learner.state",
    "tuning.record:SolveRecord.__new__", "tuning.cost:work", "tuning.pricing:Pricing.loss",
    "tuning.review:Review.enter",
]  # fmt: skip
#: What every decided solve comes through.
OFTEN = [
    "tuning.session:Session.decide", "tuning.session:Session.charge", "records.log:Log.write",
    "tuning.books:Books.enter", "tuning.books:Books.judge", "learners.auto:Auto._choose",
    "learners.auto:Auto._update",
]  # fmt: skip
#: The way to the other ranks: one function for each of its stations.
PARALLEL = [
    "tuning.session:Session.__init__", "tuning.session:Session.decide", "tuning.session:Session.charge",
    "records.checkpoint:save", "tuning.accuracy:Accuracy.note", "petsc.context:Features.look",
    "petsc.context:Features.context",
]  # fmt: skip
#: Likewise where arms are chosen.
ARMS = [
    "tuning.arm_session:ArmSession.__init__", "tuning.arm_session:ArmSession.decide",
    "tuning.arm_session:ArmSession.charge", "tuning.arm_session:ArmSession.pass_unseen",
    "tuning.arm_session:ArmSession.save", "tuning.arms:Rule.choose", "tuning.arms:Rule.note", "tuning.arm:Arm.note",
    "tuning.arms:Rule.state", "records.arms:Tally.count", "petsc.choosing:Tally.__init__",
]  # fmt: skip
ARMS_PARALLEL = [*ARMS[:3], "tuning.arms:Rule.note", "records.arms:Tally.count"]
ALL_RANKS = -1
#: One solve in the middle comes to its limit, whatever the ω.
SCRIPT = """
import sys
import petsc4py
petsc4py.init(sys.argv)
from petsc4py import PETSc
sys.path.insert(0, {tests!r})
import break_it
from systems import laplacian, native, random_rhs, solver, true_residual
comm = PETSc.COMM_WORLD
A = laplacian(16)
ksp = solver(A, "heat_", ksp_type="gmres", ksp_max_it=22, pc_sorlearn_journal="journal", pc_sorlearn_save="state",
             pc_sorlearn_load="state", pc_sorlearn_summary="", pc_sorlearn_omega_max=1.95)
tuner, omegas, last = ksp.getPC().getPythonContext(), [], []
for seed in range({solves}):
    b, x = random_rhs(A, seed)
    ksp.setTolerances(max_it=2 if seed == 20 else 22)
    ksp.solve(b, x)
    assert (ksp.getConvergedReason() > 0) is (seed != 20), (seed, tuner.omega)
    assert seed == 20 or true_residual(A, b, x) < 1e-4
    omegas.append(tuner.omega)
    last = last + [tuner.omega] if break_it.raised else []
ksp.destroy()
PETSc.Sys.Print("raised" if break_it.raised else "not raised", "stands" if len(set(last[1:])) <= 1 else "moves")
everybody = comm.tompi4py().allgather(omegas) if comm.size > 1 else [omegas]
assert all(one == omegas for one in everybody)
"""
ARMS_SCRIPT = """
import sys
import petsc4py
petsc4py.init(sys.argv)
from petsc4py import PETSc
sys.path.insert(0, {tests!r})
import break_it
from systems import fill, from_options, laplacian, random_rhs, true_residual
comm = PETSc.COMM_WORLD
A = laplacian(16)
ksp, used = from_options(A, "heat_"), []
for seed in range(60):
    b, x = random_rhs(A, seed)
    if seed < 30:
        fill(A, 16, shift=-0.01 * seed)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) < 1e-4
    used.append(ksp.getPythonContext().arms.in_use.name)
ksp.destroy()
PETSc.Sys.Print("raised" if break_it.raised else "not raised")
everybody = comm.tompi4py().allgather(used) if comm.size > 1 else [used]
assert all(one == used for one in everybody)
"""
REBUILT = """
import sys
import petsc4py
petsc4py.init(sys.argv)
sys.path.insert(0, {tests!r})
import break_it
from systems import laplacian, random_rhs, solver
A = laplacian(8)
for seed in range(8):
    ksp = solver(A, "heat_")
    ksp.solve(*random_rhs(A, seed))
    assert ksp.getConvergedReason() > 0
    ksp.destroy()
"""


def broken(tmp_path, nprocs, where, after=5, rank=0, solves=40):
    """The run above, in which `where` raises from its call number `after` on, on one rank."""
    script = tmp_path / "app.py"
    script.write_text(SCRIPT.format(tests=str(ROOT / "tests"), solves=solves))
    env = {"SORLEARN_TEST_FAULT": where, "SORLEARN_TEST_AFTER": str(after), "SORLEARN_TEST_RANK": str(rank)}
    return run(nprocs, sys.executable, script, env=env, cwd=tmp_path, timeout=60)


def check(result):
    assert "\nraised stands" in f"\n{result.stdout}"
    messages = [line for line in result.stderr.splitlines() if line.startswith("sorlearn: ")]
    assert len(messages) == 1, result.stderr
    assert "'heat_'" in messages[0] and "omega stands still" in messages[0]
    assert "Traceback" in result.stderr and "InjectedFault" in result.stderr


@pytest.mark.parametrize("where", SURFACE)
def test_the_application_sees_nothing(tmp_path, where):
    solves = 150 if where.endswith(("repeated", "_passed")) else 40  # the first ones are decided one by one
    check(broken(tmp_path, 1, where, after=0, solves=solves))


@pytest.mark.parametrize("where", ["petsc.tuned:Total.summary", "tuning.total:summarise"])
def test_a_summary_that_fails_says_so(tmp_path, where):
    result = broken(tmp_path, 1, where, after=0)
    assert "sorlearn: no summary of solver 'heat_'" in result.stdout and "InjectedFault" in result.stdout


@pytest.mark.parametrize("where", OFTEN)
def test_later_in_the_run(tmp_path, where):
    check(broken(tmp_path, 1, where, after=7))


@pytest.mark.parametrize("where", PARALLEL)
def test_other_ranks_go_the_same_way(tmp_path, where):
    check(broken(tmp_path, 2, where, after=2 if where.endswith("charge") else 0))


def arms_broken(tmp_path, nprocs, where, options=""):
    """Likewise, of a solver with arms."""
    script = tmp_path / "app.py"
    script.write_text(ARMS_SCRIPT.format(tests=str(ROOT / "tests")))
    env = {"SORLEARN_TEST_FAULT": where, "SORLEARN_TEST_AFTER": "0", "SORLEARN_TEST_RANK": "0"}
    flags = ("-heat_ksp_type python -heat_ksp_python_type sorlearn.KSP -heat_sorlearn_arms sor,jacobi "
             f"-heat_sorlearn_ksp_type cg -heat_sorlearn_arms_save state {options}")  # fmt: skip
    return run(nprocs, sys.executable, script, options=flags, env=env, cwd=tmp_path, timeout=60)


@pytest.mark.parametrize("nprocs, where", [*((1, where) for where in ARMS), *((2, where) for where in ARMS_PARALLEL)])
def test_of_several_arms_the_first_solves_from_then_on(tmp_path, nprocs, where):
    if where.endswith("pass_unseen") and not fast.library():
        pytest.skip("all solves come to Python here")
    result = arms_broken(tmp_path, nprocs, where)
    assert result.stdout.startswith("raised")
    assert result.stderr.count("sorlearn: ") == 1 and "InjectedFault" in result.stderr
    assert "sorlearn: choosing among the arms of solver 'heat_' stops; its first arm, sor, solves" in result.stderr


def test_a_summary_of_arms_that_fails_says_so(tmp_path):
    result = arms_broken(tmp_path, 1, "records.arms:Tally.summary", "-heat_sorlearn_arms_summary")
    assert "sorlearn: no summary of solver 'heat_'" in result.stdout and "InjectedFault" in result.stdout


@pytest.mark.parametrize("where", ["petsc.context:Features.look", "tuning.registry:Registry.acquire"])
def test_a_fault_on_the_other_rank_only(tmp_path, where):
    result = broken(tmp_path, 2, where, 0, rank=1)
    assert result.stderr.count("sorlearn: ") == 1


def test_no_way_to_the_other_ranks(tmp_path):
    result = broken(tmp_path, 2, "petsc.collective:Comm.__init__", 0, rank=ALL_RANKS)
    assert result.stderr.count("sorlearn: learning stops") == 2
    assert "stands" in result.stdout


def test_a_solver_rebuilt_every_step_says_it_once(tmp_path):
    script = tmp_path / "app.py"
    script.write_text(REBUILT.format(tests=str(ROOT / "tests")))
    where = "tuning.session:Session.charge"
    env = {"SORLEARN_TEST_FAULT": where, "SORLEARN_TEST_AFTER": "2", "SORLEARN_TEST_RANK": "0"}
    result = run(2, sys.executable, script, env=env, cwd=tmp_path, timeout=60)
    assert result.stderr.count("sorlearn: ") == 1, result.stderr


@pytest.mark.parametrize(
    "where", ["tuning.session:Session.decide", "tuning.session:Session.charge", "learners.auto:Auto._choose"]
)
def test_c_application(compiled, tmp_path, where):
    heat = compiled(ROOT / "demos/c/heat.c")
    arguments = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 10 -ksp_converged_reason".split()
    options = f"{FLAGS} -pc_python_type {ROOT / 'tests/break_it.py'}:PC"
    env = {"SORLEARN_TEST_FAULT": where, "SORLEARN_TEST_AFTER": "3", "SORLEARN_TEST_RANK": "0"}
    result = run(2, heat, *arguments, options=options, env=env, cwd=tmp_path)
    assert result.stdout.count("Linear solve converged") == 10
    assert result.stderr.count("sorlearn: learning stops") == 1 and "InjectedFault" in result.stderr


def test_petsc_s_own_errors_in_learning_are_no_others(compiled, tmp_path):
    """In C their handler would print, and abort all ranks but the first."""
    heat = compiled(ROOT / "demos/c/heat.c")
    arguments = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 10 -ksp_converged_reason".split()
    options = f"{FLAGS} -pc_python_type {ROOT / 'tests/break_it.py'}:PC"
    env = {"SORLEARN_TEST_FAULT": "petsc.context:Features.look", "SORLEARN_TEST_AFTER": "3", "SORLEARN_TEST_RANK": "1",
           "SORLEARN_TEST_PETSC": "1"}  # fmt: skip
    result = run(2, heat, *arguments, options=options, env=env, cwd=tmp_path)
    assert result.stdout.count("Linear solve converged") == 10 and "PETSC ERROR" not in result.stderr
    assert result.stderr.count("sorlearn: learning stops") == 1 and "setTolerances" in result.stderr
