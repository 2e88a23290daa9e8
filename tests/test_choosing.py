"""Which of several arms solves: what is learned of them, kept over solvers and runs, and said."""

from __future__ import annotations

import json
import os
import re
import resource
import sys

import pytest
from armed import BLOCKS, DIRECT, FLAGS, RANKS, N, arms_of, force, rule_of, solve, with_arms
from conftest import ENVIRONMENT, ROOT, run
from petsc4py import PETSc
from systems import fill, from_options, laplacian, random_rhs, true_residual

from sorlearn.petsc import arms as room
from sorlearn.petsc import deciding
from sorlearn.records import journal, report
from sorlearn.tuning import arm_session


@pytest.mark.parallel(1, 2)
def test_the_best_arm_is_found():
    """A factorisation of a matrix that doesn't change takes one iteration, SOR a hundred: clocks show it in the end."""
    A = laplacian(80)
    ksp = with_arms(A, "sor,direct", **DIRECT)
    used = []
    while len(used) < (2000 if RANKS == 1 else 150) and used[-50:].count("direct") <= 40:
        b, x = solve(ksp, len(used) % 10)
        assert true_residual(A, b, x) < 1e-4
        used.append(arms_of(ksp).in_use.name)
    assert used[0] == "sor"
    if RANKS == 1:
        assert used[-50:].count("direct") > 40


@pytest.mark.parallel(2, 4)
def test_ranks_with_clocks_of_their_own_decide_alike(monkeypatch):
    from time import perf_counter

    scale = 1.0 + 5.0 * PETSc.COMM_WORLD.getRank()
    for module in (room, arm_session):
        monkeypatch.setattr(module, "perf_counter", lambda: scale * perf_counter())
    A = laplacian(N)
    ksp = with_arms(A, "sor,blocks,gamg", **BLOCKS)
    for seed in range(60):
        fill(A, N, shift=-2.0 * (seed // 15))
        solve(ksp, seed)
        names = A.comm.tompi4py().allgather((arms_of(ksp).in_use.name, ksp.getIterationNumber()))
        assert len(set(names)) == 1


@pytest.mark.parametrize("ksp_type", ["preonly", "cg"])
def test_an_arm_that_applies_once_is_known_to_be_set_up_for_each_matrix(ksp_type):
    ksp = with_arms(laplacian(N), "sor,direct", **DIRECT, sorlearn_direct_ksp_type=ksp_type)
    solve(ksp)
    force(ksp, arm=1)
    solve(ksp)
    assert [arm.renews for arm in rule_of(ksp).arms] == [False, ksp_type == "preonly"]


def test_an_arm_that_is_not_played_lets_go_of_its_memory(monkeypatch):
    monkeypatch.setattr(room, "IDLE", 5)
    A = laplacian(N)
    ksp = with_arms(A, "sor,direct", **DIRECT)
    solve(ksp)
    force(ksp, arm=1)
    solve(ksp)
    lag = arms_of(ksp).all[1].pc.getPythonContext()
    assert lag._upkeep.wrapped.pc is not None
    force(ksp, arm=0)
    for seed in range(5):
        solve(ksp, seed)
    assert lag._upkeep.wrapped.pc is None
    force(ksp, arm=1)
    b, x = solve(ksp)
    assert arms_of(ksp).in_use.name == "direct" and true_residual(A, b, x) < 1e-4


@pytest.mark.parallel(1, 2)
def test_a_solver_that_is_built_anew_goes_on_and_so_does_one_that_loads_what_was_saved(tmp_path_factory):
    comm = PETSc.COMM_WORLD.tompi4py() if RANKS > 1 else None
    path = str(tmp_path_factory.mktemp("arms") / "saved.json")
    path = comm.bcast(path) if comm else path
    A = laplacian(N)
    options = {"sorlearn_arms_save": path, "sorlearn_arms_load": path}
    first = with_arms(A, "sor,jacobi", **options)
    for seed in range(10):
        solve(first, seed)
    prefix, rule = first.getOptionsPrefix(), rule_of(first)
    tried = [arm.tried for arm in rule.arms] if rule else []
    first.destroy()
    again = from_options(A, prefix)
    solve(again)
    assert rule_of(again) is rule and arms_of(again).choosing.solves == 11
    again.destroy()
    deciding.registry.waiting.clear()
    loaded = from_options(A, prefix)
    solve(loaded)
    if rule:
        assert rule_of(loaded) is not rule
        assert sum(arm.tried for arm in rule_of(loaded).arms) > sum(tried) > 0


def back(ksp, how):
    """The solver, after what has let its arms go."""
    if how == "rebuilt":
        A, prefix = ksp.getOperators()[0], ksp.getOptionsPrefix()
        ksp.destroy()
        return from_options(A, prefix)
    if how == "reset":
        A = ksp.getOperators()[0]
        ksp.reset()
        ksp.setOperators(A)
    else:
        ksp.setFromOptions()
    return ksp


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("how", ["rebuilt", "reset", "options set again"])
@pytest.mark.parametrize("arm", [0, 1])
def test_a_decision_stands_where_a_solver_is_made_anew_for_each_solve(how, arm):
    A = laplacian(N)
    ksp = with_arms(A, "sor,blocks", **BLOCKS)
    solve(ksp)
    force(ksp, arm=arm, repeats=9)
    ksp = back(ksp, how)
    solve(ksp)
    lefts = []
    for seed in range(9):
        ksp = back(ksp, how)
        b, x = solve(ksp, seed)
        choosing = arms_of(ksp).choosing
        lefts.append((choosing.left, int(choosing.decision.arm)))
        assert true_residual(A, b, x) < 1e-4
    assert lefts == [(left, arm) for left in range(8, -1, -1)]
    assert rule_of(ksp) is None or rule_of(ksp)._solves == 11


@pytest.mark.parallel(1, 2)
def test_a_decision_for_an_arm_that_had_its_set_up_does_not_stand_without():
    A = laplacian(N)
    ksp = with_arms(A, "sor,blocks", **BLOCKS)
    solve(ksp)
    for repeats in (0, 9):
        force(ksp, arm=1, repeats=repeats)
        solve(ksp)
    assert arms_of(ksp).choosing.left == 9
    ksp.reset()
    ksp.setOperators(A)
    arms_of(ksp).choosing._decide = lambda *_: called.append(1)
    called = []
    solve(ksp)
    assert called


@pytest.mark.parallel(2)
def test_a_decision_that_not_all_ranks_have_stands_on_none():
    A = laplacian(N)
    ksp = with_arms(A, "sor,blocks", **BLOCKS)
    solve(ksp)
    force(ksp, arm=0, repeats=9)
    solve(ksp)
    choosing, slot = arms_of(ksp).choosing, arms_of(ksp).choosing._slot
    for left in (9, 0):
        back(ksp, "reset")
        if A.comm.getRank() == 1 and not left:
            slot.stands = (5.0, *slot.stands[1:])
        arms_of(ksp)._enter(ksp)
        assert choosing.left == left


def test_nothing_is_left_of_solvers_that_come_and_go():
    """No vector, of which one has 80,000 bytes."""
    A, prefix = laplacian(100), "gone_"
    for name, value in {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": "cg",
                        "sorlearn_arms": "sor,eisenstat,cholesky,jacobi"}.items():  # fmt: skip
        PETSc.Options(prefix)[name] = value
    b, x = random_rhs(A)

    def some(solvers):
        for _ in range(solvers):
            ksp = from_options(A, prefix)
            for arm in range(4):
                ksp.solve(b, x)
                force(ksp, arm=arm)
            ksp.destroy()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    before = some(10)
    assert (some(40) - before) / 40 < 40_000


def test_an_option_of_its_own_and_those_that_all_arms_share():
    A = laplacian(N)
    ksp = with_arms(A, "sor,jacobi,blocks", sorlearn_ksp_gmres_restart=7, sorlearn_jacobi_ksp_type="minres", **BLOCKS)
    arms = arms_of(ksp).all
    assert [arm.ksp.getType() for arm in arms] == ["cg", "minres", "cg"]
    assert all(arm.ksp.getOptionsPrefix().endswith(f"_sorlearn_{arm.name}_") for arm in arms)
    pc = "-heat_pc_type python -heat_pc_python_type sorlearn.Lag -heat_lag_pc_type jacobi"
    assert arms[1].words("heat_") == pc


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(
    ("ksp_type", "known", "name"), [("cg", None, "icc"), ("gmres", None, "ilu"), ("gmres", True, "icc")]
)
def test_auto_offers_what_suits_the_matrix(ksp_type, known, name):
    A = laplacian(N)
    if known:
        A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    ksp = with_arms(A, "auto", ksp_type)
    b, x = solve(ksp)
    names = [arm.name for arm in arms_of(ksp).all]
    assert names[0] == "sor" and (name if RANKS == 1 else "bjacobi") in names and "mg" not in names
    assert true_residual(A, b, x) < 1e-4


# -- what is said


@pytest.mark.parametrize("nprocs", [1, 2])
def test_a_c_application_by_flags(compiled, tmp_path, nprocs):
    """Its answer, and all that is said: view, monitor, journal, report, summary with its advice."""
    program, arguments = compiled(ROOT / "demos/c/heat.c"), ["-da_grid_x", 64, "-da_grid_y", 64, "-ts_max_steps", 100]
    direct = "-sorlearn_direct_pc_type " + ("cholesky" if nprocs == 1 else "redundant")
    plain = run(nprocs, program, *arguments, options="-ksp_type cg -pc_type sor -ksp_rtol 1e-9", cwd=tmp_path).stdout
    more = "-sorlearn_arms_monitor -sorlearn_arms_summary -sorlearn_arms_journal run.jsonl -ksp_view -options_left"
    flags = f"-python {FLAGS} -sorlearn_arms sor,jacobi,direct {direct} -ksp_rtol 1e-9"
    ours = run(nprocs, program, *arguments, options=f"{flags} {more}", cwd=tmp_path).stdout
    entries = journal.read(str(tmp_path / "run.jsonl"))
    assert {entry["schema"] for entry in entries} == {2} and entries[0]["arm"] == "sor"
    assert {"sor"} < {entry["arm"] for entry in entries} <= {"sor", "jacobi", "direct"}
    assert all((entry["omega"] is None) == (entry["arm"] != "sor") for entry in entries)
    assert [entry["solve"] for entry in entries] == list(range(1, len(entries) + 1))
    table = report.table(entries)
    assert f"(no prefix) {entries[-1]['arm']}" in table
    report.draw(entries, str(tmp_path / "run.png"))
    for words in ("solve 1: arm sor with omega 1.0000", "sorlearn.KSP: arm ", "sorlearn.KSP summary of (no prefix)",
                  "advice: of single solvers, -ksp_type cg -pc_type python", "no unused options"):  # fmt: skip
        assert words in ours, ours
    norms = [float(re.search(r"norm of the solution (\S+)", text)[1]) for text in (plain, ours)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)


@pytest.mark.parametrize("nprocs", [2, 3])
def test_a_c_application_goes_on_where_arms_refuse(compiled, nprocs):
    """There PETSc's own handler of errors would print, and abort all ranks but the first."""
    program, arguments = compiled(ROOT / "demos/c/heat.c"), ["-da_grid_x", 40, "-da_grid_y", 40, "-ts_max_steps", 150]
    names = "sor,none_such,picky,weary,icc"
    python = "-sorlearn_{0}_pc_type python -sorlearn_{0}_pc_python_type armed.{1}"
    own = f"{python.format('picky', 'Refusing')} {python.format('weary', 'GivingUp')}"
    paths = os.pathsep.join([str(ROOT / "tests"), ENVIRONMENT["PYTHONPATH"]])
    result = run(nprocs, program, *arguments, env={"PYTHONPATH": paths},
                 options=f"-python {FLAGS} -sorlearn_arms {names} {own} -sorlearn_arms_share 0.9")  # fmt: skip
    assert "150 steps" in result.stdout and "PETSC ERROR" not in result.stderr + result.stdout
    assert all(f"arm {name} is left out" in result.stderr for name in ("none_such", "picky", "weary", "icc"))


def test_where_an_arm_fails_on_one_rank_only_the_run_ends_and_says_why(compiled):
    """The other one waits for it for ever, in the arm's solve."""
    program, arguments = compiled(ROOT / "demos/c/heat.c"), ["-da_grid_x", 40, "-da_grid_y", 40, "-ts_max_steps", 150]
    own = "-sorlearn_own_pc_type python -sorlearn_own_pc_python_type armed.GivingUpAlone -sorlearn_arms_share 0.9"
    paths = os.pathsep.join([str(ROOT / "tests"), ENVIRONMENT["PYTHONPATH"]])
    result = run(2, program, *arguments, options=f"-python {FLAGS} -sorlearn_arms sor,own {own}", check=False,
                 env={"PYTHONPATH": paths})  # fmt: skip
    (said,) = re.findall(r"sorlearn: solver '': .*, so that the run ends", result.stderr)
    assert result.returncode and "arm own: a part that I don't like" in said and "-sorlearn_arms without own" in said
    assert "### `on some ranks only, so that the run ends`" in (ROOT / "docs/troubleshooting.md").read_text()


def test_journals_of_both_schemas_are_read_together(tmp_path):
    A, path = laplacian(N), str(tmp_path / "both.jsonl")
    ksp = with_arms(A, "sor,jacobi", sorlearn_arms_journal=path, pc_sorlearn_journal=path)
    for seed in range(3):
        solve(ksp, seed)
    entries = journal.read(path)
    assert {entry["schema"] for entry in entries} == {1, 2}
    assert all("arm" not in entry for entry in entries if entry["schema"] == 1)
    assert json.loads(journal.line("x", arm_record()))["schema"] == 1


def arm_record():
    from sorlearn.records.arms import ArmRecord

    return ArmRecord(solve=1, arm="icc", omega=None, iterations=3, reason=2, cost=0.1, seconds=0.1)


def test_inside_ts(tutorial, tmp_path):
    program = tutorial("ts/tutorials/ex13.c")
    arguments = "-ts_max_steps 40 -da_grid_x 32 -da_grid_y 32 -ts_monitor -ksp_converged_reason".split()
    plain = run(1, program, *arguments, options="-ksp_type cg -pc_type sor", cwd=tmp_path).stdout
    flags = f"-python {FLAGS} -sorlearn_arms sor,icc,mg,cholesky -options_left"
    ours = run(1, program, *arguments, options=flags, cwd=tmp_path).stdout
    steps = [[line for line in text.splitlines() if "TS dt" in line] for text in (plain, ours)]
    assert steps[0] == steps[1] != [] and "did not" not in ours and "no unused options" in ours


def test_end_of_the_interpreter(tmp_path):
    """Solvers that nobody destroyed don't crash it, and the summary comes."""
    script = tmp_path / "app.py"
    script.write_text(f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from systems import *
ksp = from_options(laplacian(8), "")
b, x = random_rhs(ksp.getOperators()[0])
for _ in range(12):
    ksp.solve(b, x)
print("end")
""")
    output = run(1, sys.executable, script, options=f"{FLAGS} -sorlearn_arms sor,icc,gamg -sorlearn_arms_summary",
                 cwd=tmp_path).stdout  # fmt: skip
    assert "end" in output and "summary of (no prefix): 12 solves" in output


def test_the_advice_counts_all_solves():
    """Those that have repeated the last decision, too."""
    ksp = with_arms(laplacian(N), "sor,blocks", ksp_rtol=1e-6, **BLOCKS, sorlearn_arms_summary=True)
    for number in range(20):
        solve(ksp, number)
    rule, tally = rule_of(ksp), arms_of(ksp).choosing.session.tally
    since = rule._lately.solves
    ksp.destroy()
    assert since > 0 == rule._lately.solves
    tally.end(rule)
    assert sum(tally.seconds) == pytest.approx(tally.alone[1][0], rel=0.5)


def test_the_advice_has_the_options_that_an_arm_had(capfd):
    """Its own before those that it shares with the others; not those that arms take from the solver around them."""
    ksp = with_arms(laplacian(N), "sor,blocks", **BLOCKS, sorlearn_arms_summary=1, sorlearn_ksp_type="gmres",
                    sorlearn_ksp_gmres_restart=5, sorlearn_blocks_ksp_gmres_restart=7, sorlearn_blocks_ksp_rtol=1e-4,
                    sorlearn_blocks_lag_solves=3, sorlearn_blocks_ksp_max_it=2, sorlearn_ksp_atol=1e-30)  # fmt: skip
    solve(ksp, 0)
    sor, blocks = arms_of(ksp).choosing.session.tally.words
    prefix = ksp.getOptionsPrefix()
    assert sor.endswith(f" -{prefix}ksp_gmres_restart 5")
    assert blocks.endswith(f" -{prefix}lag_solves 3 -{prefix}ksp_gmres_restart 7")
    said = capfd.readouterr().err
    for option in ("rtol", "max_it"):
        assert f"-{prefix}sorlearn_blocks_ksp_{option} has no effect" in said
        assert f"remedy: -{prefix}ksp_{option}" in said
    assert f"-{prefix}sorlearn_ksp_atol has no effect" in said
    assert "gmres_restart" not in said
    assert all(words.startswith(f"-{prefix}ksp_type gmres ") for words in (sor, blocks))
    ksp.destroy()


def test_solvers_of_one_name_share_a_summary_where_their_arms_are_the_same():
    A, more = laplacian(N), laplacian(N + 1)
    ksp = with_arms(A, "sor,jacobi", sorlearn_arms_summary=True)
    prefix, sessions = ksp.getOptionsPrefix(), []
    for matrix, arms in ((A, "sor,jacobi"), (more, "sor,jacobi"), (more, "sor,jacobi,blocks")):
        PETSc.Options(prefix)["sorlearn_arms"] = arms
        PETSc.Options(prefix)["sorlearn_blocks_pc_type"] = "bjacobi"
        ksp = from_options(matrix, prefix)
        for number in range(12):
            fill(matrix, N + (matrix is more), shift=-0.01 * number)
            solve(ksp, number)
        sessions.append(arms_of(ksp).choosing.session)
        ksp.destroy()
    one, other, third = (session.tally for session in sessions)
    assert one is other is not third
    assert sum(one.solves) == 24 and sum(third.solves) == 12
    assert set(one._rules) == {session.rule for session in sessions[:2]}
