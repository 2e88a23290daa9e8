"""Saved state: atomic, resumed exactly, and whatever is wrong with a file costs a message, not the run."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ENVIRONMENT, FLAGS, ROOT, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sorlearn.errors import StateError
from sorlearn.learners import LEARNERS, NO_CONTEXT, Context, MatrixFeatures
from sorlearn.names import kin
from sorlearn.options import Settings
from sorlearn.records import checkpoint, saved, told
from sorlearn.tuning.record import Outcome, Solve
from sorlearn.tuning.registry import Registry
from sorlearn.tuning.session import Session

#: A run that can stop after `first` of `first + second` solves; prints the ω of all.
RUN = """
import sys
import petsc4py
petsc4py.init(sys.argv)
from petsc4py import PETSc
sys.path.insert(0, {tests!r})
from systems import fill, from_options, laplacian, random_rhs
start, stop = int(sys.argv[1]), int(sys.argv[2])
A = laplacian(12)
ksp = from_options(A, "heat_")
tuner, omegas = ksp.getPC().getPythonContext(), []
for seed in range(start, stop):
    tuner.context = {context}
    fill(A, 12, shift=-0.1 * (seed % 5))
    b, x = random_rhs(A, seed)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0
    omegas.append(tuner._tuned.decision.omega)
PETSc.Sys.Print("omegas", *omegas)
"""
CONTEXTUAL = ["tsallis_inf_cb", "chebcb"]
USER, MATRIX = Context(user=(0.5,)), Context(MatrixFeatures(0.9, 0.5, 0.0, 5.0))


def script(folder, context="None"):
    path = folder / "app.py"
    path.write_text(RUN.format(tests=str(ROOT / "tests"), context=context))
    return path


def omegas(result):
    (text,) = [text for text in result.stdout.splitlines() if text.startswith("omegas")]
    return text.split()[1:]


@pytest.mark.parametrize(
    ("learner", "nprocs"), [(name, 1) for name in LEARNERS] + [("auto", 2), ("tsallis_inf", 2), ("chebcb", 2)]
)
def test_a_restarted_run_chooses_as_the_uninterrupted_one(tmp_path, learner, nprocs):
    context = "(seed % 7) / 7" if learner in CONTEXTUAL else "None"
    app = script(tmp_path, context)
    options = "-heat_ksp_type gmres -heat_pc_type python -heat_pc_python_type sorlearn.PC"
    options += f" -heat_pc_sorlearn_learner {learner}"
    if learner in CONTEXTUAL:
        options += " -heat_pc_sorlearn_context_min 0 -heat_pc_sorlearn_context_max 1"
    whole = run(nprocs, sys.executable, app, 0, 130, options=options, cwd=tmp_path)
    first = run(nprocs, sys.executable, app, 0, 77, options=f"{options} -heat_pc_sorlearn_save s", cwd=tmp_path)
    second = run(nprocs, sys.executable, app, 77, 130, options=f"{options} -heat_pc_sorlearn_load s", cwd=tmp_path)
    assert "afresh" not in second.stdout
    assert omegas(first) + omegas(second) == omegas(whole)
    assert learner == "fixed" or len(set(omegas(second))) > 1
    assert learner == "fixed" or omegas(second) != omegas(whole)[: 130 - 77]  # not just a fresh start


def test_saved_every_so_many_solves_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "SAVE_EVERY", 10)
    path = tmp_path / "state"
    tuned = Session("a_", kin("a_"), Settings(save=str(path)), print)
    solves = []
    for _ in range(35):
        tuned.decide(NO_CONTEXT, True, 10**6)
        tuned.charge(Solve(Outcome(10, 2)))
        solves.append(checkpoint.load(str(path), "a_")["solves"] if path.exists() else 0)
    assert solves == [solve - solve % 10 for solve in range(1, 36)]
    for _ in range(9):
        tuned.repeated(Solve(Outcome(3, 2)))
    assert checkpoint.load(str(path), "a_")["solves"] == 40
    tuned.save()
    assert checkpoint.load(str(path), "a_")["solves"] == 44


@pytest.mark.parametrize("nprocs", [1, 2])
def test_c_application_saves_at_its_end_and_resumes(compiled, tmp_path, nprocs):
    heat, path = compiled(ROOT / "demos/c/heat.c"), tmp_path / "state"
    arguments = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 12".split()
    options = f"{FLAGS} -pc_sorlearn_save {path} -pc_sorlearn_load {path}"
    first = run(nprocs, heat, *arguments, options=options, cwd=tmp_path).stdout
    assert f"-pc_sorlearn_load: {path}: No such file or directory; learning starts afresh" in first
    assert checkpoint.load(str(path), "")["solves"] == 12
    assert "sorlearn" not in run(nprocs, heat, *arguments, options=options, cwd=tmp_path).stdout
    assert checkpoint.load(str(path), "")["solves"] == 24
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise RuntimeError('the application')", "ksp.destroy()"])
def test_petsc4py_program_saves_however_it_ends(tmp_path, end):
    app = script(tmp_path)
    app.write_text(app.read_text() + end + "\n")
    options = "-heat_pc_type python -heat_pc_python_type sorlearn.PC -heat_pc_sorlearn_save state"
    result = run(1, sys.executable, app, 0, 9, options=options, cwd=tmp_path, check=False)
    assert result.returncode == {"": 0, "ksp.destroy()": 0, "sys.exit(3)": 3}.get(end, 1)
    assert checkpoint.load(str(tmp_path / "state"), "heat_")["solves"] == 9


def test_kill_while_saving_leaves_a_good_state(tmp_path):
    code = f"""
import numpy as np
from sorlearn.records import checkpoint
state = {{"K": np.arange(20000.0), "n": 0}}
while True:
    state["n"] += 1
    checkpoint.save({str(tmp_path / "state")!r}, "a_", state)
"""
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT)
        while not (tmp_path / "state").exists():
            time.sleep(0.01)
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(checkpoint.load(str(tmp_path / "state"), "a_")["K"]) == 20000


def fill_up(monkeypatch, where):
    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, where, full)


@pytest.mark.parametrize("where", ["replace", "fsync"])
def test_full_disk(tmp_path, monkeypatch, where):
    path, said = tmp_path / "state", []
    tuned = Session("a_", kin("a_"), Settings(save=str(path)), said.append)
    tuned.books.solves = 1
    tuned.save()
    good = path.read_bytes()
    fill_up(monkeypatch, where)
    for tuned.books.solves in (2, 3, 4):
        tuned.save()
    assert path.read_bytes() == good
    assert os.listdir(tmp_path) == ["state"]  # nothing half-written stays
    (message,) = said
    assert f"-a_pc_sorlearn_save: {path}: No space left on device" in message


def test_file_size_limit_in_a_real_run(tmp_path):
    app = script(tmp_path)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"  # MPI has its files already
    app.write_text(app.read_text().replace("tuner, omegas", f"{limit}\ntuner, omegas"))
    options = "-heat_pc_type python -heat_pc_python_type sorlearn.PC -heat_pc_sorlearn_save state"
    result = run(1, sys.executable, app, 0, 9, options=options, cwd=tmp_path)
    assert "-heat_pc_sorlearn_save: state: File too large" in result.stdout
    assert sorted(os.listdir(tmp_path)) == ["app.py"]


@pytest.mark.parametrize("path", ["/no/such/folder/state", "/dev", "/proc/state", "/dev/full", "/dev/zero", "fifo"])
def test_unwritable(tmp_path, path):
    os.mkfifo(tmp_path / "fifo")
    options = f"-heat_pc_type python -heat_pc_python_type sorlearn.PC -heat_pc_sorlearn_save {path}"
    result = run(1, sys.executable, script(tmp_path), 0, 9, options=options, cwd=tmp_path)
    assert f"-heat_pc_sorlearn_save: {path}: " in result.stdout
    assert result.stdout.count("the run goes on") == 1 and "Traceback" not in result.stderr


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev", "fifo"])
def test_what_may_have_no_end_is_not_read(tmp_path, path):
    os.mkfifo(tmp_path / "fifo")
    options = f"-heat_pc_type python -heat_pc_python_type sorlearn.PC -heat_pc_sorlearn_load {path}"
    result = run(1, sys.executable, script(tmp_path), 0, 9, options=options, cwd=tmp_path, timeout=30)
    assert f"-heat_pc_sorlearn_load: {path}: not a regular file; learning starts afresh" in result.stdout
    assert len(omegas(result)) == 9


@pytest.mark.parametrize(
    ("name", "shown"), [("a\0b", "a\\0b"), ("a\ud800b", "a\\ud800b"), ("/no/\udcf6", "/no/\\udcf6")]
)  # fmt: skip
def test_names_given_in_code_that_no_file_has_cost_a_message_each(name, shown, capfd):
    from systems import PETSc, laplacian, random_rhs

    from sorlearn import attach

    A, ksp = laplacian(8), PETSc.KSP().create()
    ksp.setOptionsPrefix(f"named{len(name)}{len(shown)}_")
    ksp.setOperators(A)
    tuner = attach(ksp, journal=name, save=name, load=name)
    for seed in range(6):
        ksp.solve(*random_rhs(A, seed))
    assert tuner.position == "learning" and tuner._tuned.session.learner.rounds > 1
    ksp.destroy()
    said = capfd.readouterr()
    assert said.out.count("\n") == 2 and said.out.count(f": {shown}: ") == 2
    assert said.err.count("goes on without a journal") == 1 and "Traceback" not in said.err


def test_a_file_of_absurd_size_is_not_read(tmp_path):
    path = tmp_path / "state"
    with open(path, "wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    for call in (lambda: checkpoint.load(str(path), "a_"), lambda: checkpoint.save(str(path), "a_", {})):
        with pytest.raises(StateError, match="1099511627776 bytes, too large for a state"):
            call()
    assert path.stat().st_size == 2**40


def test_several_solvers_in_one_file(tmp_path):
    path = str(tmp_path / "state")
    for name, value in (("u_", 1.0), ("p_", 2.0), ("u_", 3.0)):
        checkpoint.save(path, name, {"value": np.array([value])})
    assert checkpoint.read(path) == {"u_": {"value": [3.0]}, "p_": {"value": [2.0]}}
    with pytest.raises(StateError, match="holds 'u_', 'p_', not 'T_'"):
        checkpoint.load(path, "T_")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "state")
    checkpoint.save(str(tmp_path / "link"), "a_", {"value": 1})
    assert (tmp_path / "link").is_symlink()
    assert checkpoint.load(str(tmp_path / "there" / "state"), "a_") == {"value": 1}


def test_names_with_ids_find_their_state_again(tmp_path):
    path = str(tmp_path / "state")
    first = Session("dolfinx_solve_140234567_", kin("dolfinx_solve_140234567_"), Settings(save=path), print)
    first.books.solves = 5
    first.save()
    second = Session("dolfinx_solve_998877665_", kin("dolfinx_solve_998877665_"), Settings(load=path), print)
    assert second.books.solves == 5
    assert kin("fieldsplit_0_") == "fieldsplit_0_"


def test_seconds_are_cut_as_before():
    """A restored run has the same opinion of how long a solve takes, so the clock's accidents stay out of it."""

    def told(tuned, seconds):
        costs = []
        tuned.learner.update = lambda choice, loss: costs.append(loss)
        for second in seconds:
            tuned.decide(USER, True, 0)
            tuned.charge(Solve(Outcome(10, 2), seconds=second))
        return costs

    seconds = [*np.random.default_rng(0).uniform(1.0, 2.0, 20), 100.0, 1.0, 1.5]
    options = Settings(cost="time", learner="fixed")
    whole, first, second = (Session("a_", kin("a_"), options, print) for _ in range(3))
    expected = told(whole, seconds)
    told(first, seconds[:20])
    second.restore(json.loads(json.dumps(first.state(), default=checkpoint._plain)))
    assert told(second, seconds[20:]) == expected[20:]
    assert expected[20] < 10.0


def test_a_solver_that_joins_a_group_leaves_its_learner_alone(tmp_path):
    path = str(tmp_path / "state")
    checkpoint.save(path, "b_", good_state().state())
    options = Settings(learner="auto", context_min=0.0, context_max=1.0, group="g", load=path)
    registry = Registry()
    first = registry.session("a_", options, print, False)
    for _ in range(50):
        first.decide(USER, False, 10**6)
        first.charge(Solve(Outcome(10, 2)))
    learned = json.dumps(first.learner.state(), default=checkpoint._plain)
    second = registry.session("b_", options, print, False)
    assert second.learner is first.learner
    assert json.dumps(second.learner.state(), default=checkpoint._plain) == learned
    assert second.books.solves == 40


def test_a_group_takes_what_has_learned_more(tmp_path):
    """Whichever of its solvers comes first: of one destroyed early, the file has less."""
    path, registry = str(tmp_path / "state"), Registry()
    checkpoint.save(path, "a_", good_state(solves=3).state())
    checkpoint.save(path, "b_", good_state().state())
    options = Settings(learner="auto", context_min=0.0, context_max=1.0, group="g", load=path)
    rounds = [registry.session(name, options, print, False).learner.rounds for name in ("a_", "b_", "a_")]
    assert rounds == [3, 40, 40]


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_context_that_is_not_finite_spoils_no_state(tmp_path, learner, number):
    path, context = tmp_path / "state", Context(user=(number,))
    checkpoint.save(str(path), "a_", good_state(learner, context=context).state())
    again = Session("a_", kin("a_"), Settings(learner=learner, context_min=0.0, context_max=1.0, load=str(path)),
                    pytest.fail)  # fmt: skip
    assert again.books.solves == 40


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(("other", "says"), [
    ({"omega_min": 0.5}, "with omega_min "), ({"omega": 1.2}, "with omega 1.0, wanted omega 1.2"),
    ({"cost": "time"}, "state of cost work, wanted time"), ({"context_max": 2.0}, "with context_max 1.0, wanted"),
])  # fmt: skip
def test_a_state_for_other_choices_is_refused(tmp_path, learner, other, says):
    path, said = tmp_path / "state", []
    told._told.clear()
    checkpoint.save(str(path), "a_", good_state(learner).state())
    wanted = {"learner": learner, "context_min": 0.0, "context_max": 1.0, **other}
    again = Session("a_", kin("a_"), Settings(**wanted, load=str(path)), said.append)
    assert says in said[0] and "learning starts afresh" in said[0] and again.books.solves == 0


def good_state(learner="auto", solves=40, context=USER):
    tuned = Session("a_", kin("a_"), Settings(learner=learner, context_min=0.0, context_max=1.0), print)
    for _ in range(solves):
        tuned.decide(context, False, 10**6)
        tuned.charge(Solve(Outcome(10, 2)))
    return tuned


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "state"
    checkpoint.save(str(path), "a_", good_state().state())
    return path.read_text()


def resume(path, text):
    """A session that loads this text, and what it says; it must work, and a fresh one must not have been touched."""
    path.write_text(text)
    said = []
    told._told.clear()
    tuned = Session("a_", kin("a_"), Settings(load=str(path), save=str(path)), said.append)
    for _ in range(3):
        decision = tuned.decide(MATRIX, False, 10**6)
        assert 0.0 < decision.omega < 2.0
        tuned.charge(Solve(Outcome(10, 2)))
    return tuned, said


SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(data=st.data())
def test_truncated(good, tmp_path, data):
    cut = data.draw(st.integers(0, len(good) - 1))
    tuned, said = resume(tmp_path / "state", good[:cut])
    assert len(said) == 1 and "truncated, or not a state that sorlearn saved; learning starts afresh" in said[0]
    assert "-a_pc_sorlearn_load: " in said[0] and tuned.books.solves == 3
    tuned.save()  # what isn't a state of sorlearn's is never overwritten
    assert (tmp_path / "state").read_text() == good[:cut]
    assert len(said) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@SLOW
@given(text=st.text(max_size=60) | JSON.map(json.dumps))
def test_foreign(tmp_path, text):
    _, said = resume(tmp_path / "state", text)
    assert len(said) == 1 and "learning starts afresh" in said[0]


@SLOW
@given(data=st.data(), value=JSON)
def test_any_part_replaced_by_anything(good, tmp_path, data, value):
    content = json.loads(good)
    place = content["solvers"]["a_"]
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not place[key] or not isinstance(place[key], dict) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    path = tmp_path / "state"
    path.write_text(json.dumps(content))
    said = []
    tuned = Session("a_", kin("a_"), Settings(load=str(path)), said.append)
    fresh = Session("a_", kin("a_"), Settings(), print)
    if said:
        assert "learning starts afresh" in said[0]
        assert json.dumps(tuned.state(), default=checkpoint._plain) == json.dumps(
            fresh.state(), default=checkpoint._plain
        )


def test_deeply_nested(tmp_path):
    _, said = resume(tmp_path / "state", "[" * 100000)
    assert "truncated, or not a state" in said[0]


def test_another_schema_is_refused_and_left_alone(good, tmp_path):
    content = json.loads(good)
    content["schema"] = 2
    tuned, said = resume(tmp_path / "state", json.dumps(content))
    assert "schema 2, this version reads 1; learning starts afresh" in said[0]
    tuned.save()
    assert json.loads((tmp_path / "state").read_text()) == content
    assert "-a_pc_sorlearn_save: " in said[1]


def test_another_learner_is_refused(tmp_path):
    path = tmp_path / "state"
    checkpoint.save(str(path), "a_", good_state("thompson").state())
    _, said = resume(path, path.read_text())
    assert "state of learner 'thompson', wanted 'auto'; learning starts afresh" in said[0]


@pytest.mark.parametrize("learner", LEARNERS)
def test_state_round_trip_through_a_file(tmp_path, learner):
    tuned, path = good_state(learner), tmp_path / "state"
    checkpoint.save(str(path), "a_", tuned.state())
    choices = Settings(learner=learner, context_min=0.0, context_max=1.0, load=str(path))
    again = Session("a_", kin("a_"), choices, pytest.fail)
    for _ in range(30):
        one, two = (which.decide(USER, False, 10**6) for which in (tuned, again))
        assert repr(one) == repr(two)  # NaN is not equal to itself
        for which in (tuned, again):
            which.charge(Solve(Outcome(12, 2)))
