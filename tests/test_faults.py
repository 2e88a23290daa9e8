"""Whatever breaks inside learning, the application sees nothing of it: every solve converges, one message, ω stands."""

from __future__ import annotations

import sys

import pytest
from conftest import FLAGS, ROOT, run

#: What is made to fail: `module:Class.method`, or `module:function`.
SURFACE = [
    "tuning.session:Session.__init__", "tuning.session:Session.decide", "tuning.session:Session.learn",
    "tuning.session:Session.failed", "tuning.session:Session.skip", "tuning.session:Session.save",
    "tuning.session:Session.state", "tuning.session:Session.summary", "tuning.session:Session._write",
    "tuning.session:Session._count", "tuning.session:Registry.acquire", "tuning.session:Registry.release",
    "tuning.session:Registry.session", "tuning.accuracy:Accuracy.due", "tuning.accuracy:Accuracy.digits_lost",
    "tuning.accuracy:Accuracy.shortfall", "tuning.accuracy:Accuracy.settle", "tuning.accuracy:Accuracy.earn",
    "tuning.accuracy:Accuracy.ban", "tuning.accuracy:Accuracy.allows", "records.journal:Journal.__init__",
    "records.journal:Journal.write", "records.checkpoint:save", "records.checkpoint:load",
    "petsc.context:Features.__init__", "petsc.context:Features.look", "petsc.context:Features.context",
    "petsc.collective:Comm.__init__", "learners.auto:Auto.__init__", "learners.auto:Auto._choose",
    "learners.auto:Auto._update", "learners.base:Learner.state", "tuning.cost:SolveRecord.__new__",
    "tuning.cost:work",
]  # fmt: skip
#: What a run of 40 solves needn't come to, so that there may be no message.
RARE = ["failed", "ban", "settle", "skip", "summary"]
#: The way to the other ranks: one function for each of its stations.
PARALLEL = [
    "tuning.session:Session.__init__", "tuning.session:Session.decide", "tuning.session:Session.learn",
    "records.checkpoint:save", "tuning.accuracy:Accuracy.shortfall", "petsc.context:Features.look",
    "petsc.context:Features.context",
]  # fmt: skip
ALL_RANKS = -1
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
for seed in range(40):
    b, x = random_rhs(A, seed)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0, (seed, tuner.omega)
    assert true_residual(A, b, x) < 1e-4
    omegas.append(tuner.omega)
    last = last + [tuner.omega] if break_it.raised else []
ksp.destroy()
PETSc.Sys.Print("raised" if break_it.raised else "not raised", "stands" if len(set(last[1:])) <= 1 else "moves")
everybody = comm.tompi4py().allgather(omegas) if comm.size > 1 else [omegas]
assert all(one == omegas for one in everybody)
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


def broken(tmp_path, nprocs, where, after=5, rank=0):
    """The run above, in which `where` raises from its call number `after` on, on one rank."""
    script = tmp_path / "app.py"
    script.write_text(SCRIPT.format(tests=str(ROOT / "tests")))
    env = {"SORLEARN_TEST_FAULT": where, "SORLEARN_TEST_AFTER": str(after), "SORLEARN_TEST_RANK": str(rank)}
    return run(nprocs, sys.executable, script, env=env, cwd=tmp_path, timeout=60)


def check(result, where):
    if "not raised" in result.stdout:
        assert where.rpartition(".")[2] in RARE
        return
    messages = [line for line in result.stderr.splitlines() if line.startswith("sorlearn: ")]
    assert len(messages) == 1, result.stderr
    assert "'heat_'" in messages[0] and "omega stands still" in messages[0]
    assert "Traceback" in result.stderr and "InjectedFault" in result.stderr
    assert "stands" in result.stdout


@pytest.mark.parametrize("where", SURFACE)
def test_the_application_sees_nothing(tmp_path, where):
    check(broken(tmp_path, 1, where, after=0), where)


@pytest.mark.parametrize("where", [where for where in SURFACE if "session" in where or "learners" in where])
def test_later_in_the_run(tmp_path, where):
    result = broken(tmp_path, 1, where, after=7)
    if "not raised" not in result.stdout:
        check(result, where)


@pytest.mark.parametrize("where", PARALLEL)
def test_other_ranks_go_the_same_way(tmp_path, where):
    check(broken(tmp_path, 2, where, after=2 if where.endswith("learn") else 0), where)


@pytest.mark.parametrize("where", ["petsc.context:Features.look", "tuning.session:Registry.acquire"])
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
    env = {"SORLEARN_TEST_FAULT": "tuning.session:Session.learn", "SORLEARN_TEST_AFTER": "2", "SORLEARN_TEST_RANK": "0"}
    result = run(2, sys.executable, script, env=env, cwd=tmp_path, timeout=60)
    assert result.stderr.count("sorlearn: ") == 1, result.stderr


@pytest.mark.parametrize(
    "where", ["tuning.session:Session.decide", "tuning.session:Session.learn", "learners.auto:Auto._choose"]
)
def test_c_application(compiled, tmp_path, where):
    heat = compiled(ROOT / "demos/c/heat.c")
    arguments = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 10 -ksp_converged_reason".split()
    options = f"{FLAGS} -pc_python_type {ROOT / 'tests/break_it.py'}:PC"
    env = {"SORLEARN_TEST_FAULT": where, "SORLEARN_TEST_AFTER": "3", "SORLEARN_TEST_RANK": "0"}
    result = run(2, heat, *arguments, options=options, env=env, cwd=tmp_path)
    assert result.stdout.count("Linear solve converged") == 10
    assert result.stderr.count("sorlearn: learning stops") == 1 and "InjectedFault" in result.stderr
