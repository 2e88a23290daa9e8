"""The journal: JSON lines as the contract says, whole whatever ends the run, and never a reason to end it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ENVIRONMENT, FLAGS, ROOT, run
from hypothesis import given
from hypothesis import strategies as st

from sorlearn.learners import Context
from sorlearn.records.journal import Journal, finite, line, read
from sorlearn.tuning.record import SolveRecord

KEYS = {
    "schema": int, "solve": int, "name": str, "omega": float, "iterations": int, "reason": int, "cost": float,
    "seconds": float, "residual_before": (float, type(None)), "residual_after": (float, type(None)), "context": list,
    "propensity": float, "explored": bool, "rescued": bool, "held": bool,
}  # fmt: skip


def refuse(constant):
    raise ValueError(constant)


def check(text):
    """A line as the contract wants it, parsed."""
    entry = json.loads(text, parse_constant=refuse)
    assert set(entry) == set(KEYS)
    for key, kind in KEYS.items():
        assert isinstance(entry[key], kind), (key, entry[key])
    assert all(isinstance(value, (float, type(None))) for value in entry["context"])
    return entry


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("learner", ["auto", "tsallis_inf", "chebcb", "thompson", "fixed"])
def test_lines(tmp_path_factory, learner):
    from petsc4py import PETSc
    from systems import laplacian, random_rhs, solver

    comm = PETSc.COMM_WORLD.tompi4py() if PETSc.COMM_WORLD.getSize() > 1 else None
    path = str(tmp_path_factory.mktemp("journal") / "runs.jsonl")
    path = comm.bcast(path) if comm else path
    A = laplacian(10)
    more = {"pc_sorlearn_context_min": 0, "pc_sorlearn_context_max": 2} if learner == "chebcb" else {}
    ksp = solver(A, f"j_{learner}_", pc_sorlearn_journal=path, pc_sorlearn_learner=learner, **more)
    if learner == "chebcb":
        ksp.getPC().getPythonContext().context = 1.0
    its = []
    for seed in range(6):
        ksp.solve(*random_rhs(A, seed))
        its.append(ksp.getIterationNumber())
    if comm:
        comm.barrier()  # rank 0 may not have written the last line yet
    with open(path, encoding="utf-8") as file:
        entries = [check(text) for text in file]
    assert [entry["solve"] for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [entry["iterations"] for entry in entries] == its
    assert {entry["name"] for entry in entries} == {f"j_{learner}_"}
    assert all(entry["reason"] > 0 for entry in entries)
    decided = [entry for entry in entries if not entry["held"]]  # of the others C tells no residuals
    assert decided and all(entry["residual_before"] > entry["residual_after"] for entry in decided)
    assert read(path) == entries


ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(ANY, ANY, st.none() | ANY, st.none() | ANY, st.lists(ANY, max_size=5), st.text(max_size=8))
def test_no_line_holds_nan_or_infinity(cost, seconds, before, after, context, name):
    record = SolveRecord(1, 1.5, 3, 2, cost=cost, seconds=seconds, residual_before=before, residual_after=after,
                         context=Context(user=tuple(context)))  # fmt: skip
    text = line(name, record)
    assert "\n" not in text
    entry = json.loads(text, parse_constant=refuse)
    assert entry["name"] == name
    assert entry["cost"] is None or math.isfinite(entry["cost"])


def test_numbers_that_do_not_exist_are_none():
    assert [finite(value) for value in (1.0, None, float("nan"), float("inf"))] == [1.0, None, None, None]


def test_kill_leaves_whole_lines(compiled, tmp_path):
    """kill -9 at an arbitrary moment, several times, into the same file."""
    heat, path = compiled(ROOT / "demos/c/heat.c"), tmp_path / "runs.jsonl"
    options = f"{FLAGS} -pc_sorlearn_journal {path}"
    for _ in range(3):
        seen = path.stat().st_size if path.exists() else 0
        process = subprocess.Popen(
            [heat, "-da_grid_x", "15", "-da_grid_y", "15", "-ts_max_steps", "1000000", "-ts_max_time", "1e9"],
            env={**ENVIRONMENT, "PETSC_OPTIONS": options}, cwd=tmp_path, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and (not path.exists() or path.stat().st_size < seen + 20000):
            time.sleep(0.005)
        assert process.poll() is None, "it should have been killed in the middle"
        process.send_signal(signal.SIGKILL)
        process.wait()
    text = path.read_text()
    assert text.endswith("\n")
    assert text.count("\n") > 100
    assert len({entry["solve"] for entry in map(check, text.splitlines())}) > 30


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("path", ["/dev/full", "/no/such/folder/journal", "/dev"])
def test_unwritable_journal_costs_one_message(tmp_path, path):
    script = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from systems import laplacian, random_rhs, solver
A = laplacian(8)
ksp = solver(A, "heat_", pc_sorlearn_journal={path!r})
for seed in range(20):
    ksp.solve(*random_rhs(A, seed))
    assert ksp.getConvergedReason() > 0
print(len(set(record.omega for record in ksp.getPC().getPythonContext().records)) > 1)
"""
    result = run(1, sys.executable, "-c", script, cwd=tmp_path)
    assert result.stdout.strip() == "True"  # it goes on learning
    (message,) = [text for text in result.stderr.splitlines() if "sorlearn" in text]
    assert f"-heat_pc_sorlearn_journal {path}: " in message and "goes on without a journal" in message
    assert "Exception ignored" not in result.stderr


def test_a_path_that_cannot_be_written_is_told_once_an_option_and_left_alone(tmp_path, capsys):
    folder = tmp_path / "nowhere"
    for name in ("a_", "a_", "b_", "solve_123456_", "solve_654321_", "a_"):
        journal = Journal(str(folder / "journal"), name, f"-{name}pc_sorlearn_journal")
        for solve in (1, 2):
            journal.write(SolveRecord(solve, 1.5, 3, 2))
        folder.mkdir(exist_ok=True)  # too late for all
    said = capsys.readouterr().err.splitlines()
    options = [f"-{name}pc_sorlearn_journal" for name in ("a_", "b_", "solve_123456_")]
    assert [line.split()[1] for line in said] == options
    assert all(f"{folder / 'journal'}: No such file or directory; " in line for line in said)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_costs_one_message(capfd, path):
    for solve in (1, 2):
        Journal(path, "a_", "-a_pc_sorlearn_journal").write(SolveRecord(solve, 1.5, 3, 2))
    (message,) = capfd.readouterr().err.splitlines()
    assert message.endswith(": no file can have this name; the run goes on without a journal")
    with pytest.raises(OSError, match="no file can have this name"):
        read(path)


def test_a_name_in_another_encoding_is_the_bytes_that_were_given(tmp_path):
    path = os.fsencode(tmp_path) + b"/j\xf6"
    Journal(path.decode("utf-8", "surrogateescape"), "a_", "-a_pc_sorlearn_journal").write(SolveRecord(1, 1.5, 3, 2))
    assert os.listdir(os.fsencode(tmp_path)) == [b"j\xf6"]


def test_a_path_that_can_be_written_is_no_worse_for_others(tmp_path, capsys):
    for path in (tmp_path / "missing" / "journal", tmp_path / "journal"):
        Journal(str(path), "a_", "-a_pc_sorlearn_journal").write(SolveRecord(1, 1.5, 3, 2))
    assert len(read(str(tmp_path / "journal"))) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_meshes_that_change_their_size_tell_once(tmp_path):
    script = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from systems import laplacian, random_rhs, solver
for size in range(3, 23):
    A = laplacian(size)
    for part in ("pc_sorlearn_", "lag_"):
        kind = "sorlearn.Lag" if part == "lag_" else "sorlearn.PC"
        files = {{"pc_sorlearn_save": "/no/state", "pc_sorlearn_load": "/no/state", f"{{part}}journal": "/dev/full"}}
        ksp = solver(A, part, pc_python_type=kind, **files)
        ksp.solve(*random_rhs(A))
        ksp.destroy()
"""
    result = run(1, sys.executable, "-c", script, cwd=tmp_path)
    said = [line.split()[1] for line in (result.stdout + result.stderr).splitlines() if line.startswith("sorlearn: ")]
    options = ("pc_sorlearn_load:", "pc_sorlearn_save:", "pc_sorlearn_journal", "lag_journal")
    assert sorted(said) == sorted(f"-{'lag_' if 'lag' in option else 'pc_sorlearn_'}{option}" for option in options)


def test_a_journal_that_a_run_has_left_torn_is_gone_on_with(tmp_path):
    path = tmp_path / "journal"
    whole = line("a_", SolveRecord(1, 1.5, 3, 2))
    path.write_text(f"{whole}\n{whole[:40]}")
    script = """
import sys
from sorlearn.records.journal import Journal
from sorlearn.tuning.record import SolveRecord
Journal(sys.argv[1], "a_", "-a_pc_sorlearn_journal").write(SolveRecord(2, 1.5, 3, 2))
"""
    run(1, sys.executable, "-c", script, path)
    assert [entry["solve"] for entry in read(str(path))] == [1, 2]
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parallel(1, 2)
def test_solves_with_nothing_to_solve_are_written_down_however_many(tmp_path_factory):
    from petsc4py import PETSc
    from systems import laplacian, random_rhs, solver

    comm = PETSc.COMM_WORLD.tompi4py() if PETSc.COMM_WORLD.getSize() > 1 else None
    path = str(tmp_path_factory.mktemp("idle") / "runs.jsonl")
    path = comm.bcast(path) if comm else path
    A = laplacian(10)
    ksp = solver(A, "idle_", pc_sorlearn_journal=path)
    iterations = []
    for seed in range(700):
        b, x = random_rhs(A, seed)
        if 20 <= seed < 680:
            b.set(0.0)
        ksp.solve(b, x)
        iterations.append(ksp.getIterationNumber())
    ksp.destroy()
    if not comm or comm.rank == 0:
        entries = read(path)
        assert [entry["solve"] for entry in entries] == list(range(1, 701))
        assert [entry["iterations"] for entry in entries] == iterations


def test_torn_last_line_is_left_out_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(str(path), "a_", "-a_pc_sorlearn_journal")
    for solve in range(1, 4):
        journal.write(SolveRecord(solve, 1.5, 3, 2))
    whole = path.read_text()
    for cut in range(len(whole)):
        path.write_text(whole[:cut])
        assert [entry["solve"] for entry in read(str(path))] == list(range(1, whole[:cut].count("\n") + 1))
    path.write_text('{"schema": 2}\n')
    with pytest.raises(ValueError, match="schema 1"):
        read(str(path))
