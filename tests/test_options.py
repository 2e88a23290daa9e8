"""Options: wrong ones stop the run with a message that helps; right ones leave no trace in PETSc's own reports."""

from __future__ import annotations

import sys
from dataclasses import fields

import pytest
from conftest import FLAGS, ROOT, run
from hypothesis import given, settings
from hypothesis import strategies as st

from sorlearn.errors import OptionError
from sorlearn.options import STEM, Settings, help_text, parse

#: (options without prefix and stem, the option that the message names, its value there, what it says is allowed)
WRONG = [
    ("omega 0", "omega", "'0'", "strictly between 0 and 2"),
    ("omega 2", "omega", "'2'", "strictly between 0 and 2"),
    ("omega -1.5", "omega", "'-1.5'", "strictly between 0 and 2"),
    ("omega nan", "omega", "'nan'", "strictly between 0 and 2"),
    ("omega much", "omega", "'much'", "strictly between 0 and 2"),
    ("omega_min -0.1", "omega_min", "'-0.1'", "strictly between 0 and 2"),
    ("omega_max 2.5", "omega_max", "'2.5'", "strictly between 0 and 2"),
    ("omega_min 1.8 omega_max 1.2", "omega_min", "1.8", "must not exceed"),
    ("num_omegas 0", "num_omegas", "'0'", "a whole number from 1"),
    ("num_omegas 2.5", "num_omegas", "'2.5'", "a whole number from 1"),
    ("learner oracle", "learner", "'oracle'", "one of auto, tsallis_inf"),
    ("cost money", "cost", "'money'", "one of work, iterations, time, flops"),
    ("context sideways", "context", "'sideways'", "one of auto, none, user"),
    ("learner chebcb", "context_min", "missing", "needs the range of the context"),
    ("learner tsallis_inf_cb context_min 0", "context_max", "missing", "needs the range of the context"),
    ("context_min 2 context_max 1", "context_min", "2", "must be less than"),
    ("context_min inf", "context_min", "'inf'", "a finite number"),
    ("context_bins none", "context_bins", "'none'", "a whole number from 1"),
    ("seed -3", "seed", "'-3'", "a whole number from 0"),
    ("monitor perhaps", "monitor", "'perhaps'", "true or false"),
    ("journal", "journal", "''", "a file name"),
]
SCRIPT = """
import sys
import petsc4py
petsc4py.init(sys.argv)
from petsc4py import PETSc
sys.path.insert(0, {tests!r})
from systems import from_options, laplacian, random_rhs
A = laplacian(6)
b, x = random_rhs(A)
try:
    ksp = from_options(A, "heat_")
    ksp.solve(b, x)
except Exception as error:
    print(f"rank {{A.comm.getRank()}} refuses", flush=True)
    A.comm.barrier()
    raise
"""


def flags(words, prefix=""):
    """`omega 0 ...` as options with prefix; words that aren't names of options are values."""
    names = {option.name for option in fields(Settings)}
    return " ".join(f"-{prefix}{STEM}{word}" if word in names else word for word in words.split())


@pytest.fixture
def heat(compiled):
    return compiled(ROOT / "demos/c/heat.c")


@pytest.mark.parametrize(("words", "name", "value", "allowed"), WRONG, ids=[case[0] for case in WRONG])
def test_message(words, name, value, allowed):
    texts, option = {}, None
    for word in words.split():
        option = STEM + word if option is None or word in {f.name for f in fields(Settings)} else option
        texts[option] = "" if option == STEM + word else word
    with pytest.raises(OptionError) as caught:
        parse("heat_", texts.get, {})
    message = str(caught.value)
    assert f"-heat_{STEM}{name} " in message
    assert value in message and allowed in message
    assert "\n" not in message


@pytest.mark.parametrize("nprocs", [1, 2])
@pytest.mark.parametrize("case", [0, 7, 10, 13])
def test_petsc4py_program_stops_on_all_ranks(tmp_path, nprocs, case):
    words, name, value, allowed = WRONG[case]
    script = tmp_path / "app.py"
    script.write_text(SCRIPT.format(tests=str(ROOT / "tests")))
    options = f"-heat_pc_type python -heat_pc_python_type sorlearn.PC {flags(words, 'heat_')}"
    result = run(nprocs, sys.executable, script, options=options, check=False, cwd=tmp_path)
    assert result.returncode != 0
    assert all(f"rank {rank} refuses" in result.stdout for rank in range(nprocs))
    lines = [line for line in result.stderr.splitlines() if f"-heat_{STEM}{name} " in line]
    assert any(value in line and allowed in line for line in lines), result.stderr


@pytest.mark.parametrize(
    ("nprocs", "case"),
    [(1, case) for case in WRONG] + [(2, WRONG[0]), (2, WRONG[13])],
    ids=lambda value: value[0] if isinstance(value, tuple) else f"np{value}",
)
def test_c_application_stops_with_the_message_on_stderr(heat, tmp_path, nprocs, case):
    words, name, value, allowed = case
    arguments = ["-da_grid_x", "9", "-da_grid_y", "9", "-ts_max_steps", "2"]
    result = run(nprocs, heat, *arguments, options=f"{FLAGS} {flags(words)}", check=False, cwd=tmp_path)
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("sorlearn: ")]
    if not lines:  # 3.26 shows the exception itself
        lines = [line for line in result.stderr.splitlines() if "OptionError" in line]
    assert any(f"-{STEM}{name} " in line and value in line and allowed in line for line in lines), result.stderr
    assert sum(line.startswith("sorlearn: ") for line in lines) <= 1


def test_help_lists_every_option(heat, tmp_path):
    output = run(2, heat, "-ts_max_steps", "1", "-help", options=FLAGS, cwd=tmp_path).stdout
    for option in fields(Settings):
        assert output.count(f"  -{STEM}{option.name} <") == 1


def test_petsc_reports(heat, tmp_path):
    arguments = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 5 -ksp_norm_type preconditioned".split()
    arguments += "-options_left -malloc_dump -log_view -ksp_view".split()
    options = f"{FLAGS} -pc_sorlearn_omega 1.1 -pc_sorlearn_omega_max 1.9 -pc_sorlearn_seed 3"
    result = run(1, heat, *arguments, options=options, cwd=tmp_path)
    output = result.stdout
    assert "There are no unused options" in output
    assert "bytes from" not in output + result.stderr and "Petsc memory" not in output  # nothing left allocated
    assert "SorlearnChoose" in output and "SorlearnLearn" in output and "SorlearnCheck" in output
    assert "  sorlearn: learner auto, learning, 4 solves so far\n" in output
    assert "in [0.75, 1.9], safe omega = 1.1, cost work\n" in output
    assert "  SOR: type = local_symmetric, iterations = 1, local iterations = 1\n" in output


def test_a_fixed_omega_is_said_to_be_what_it_is(heat, tmp_path):
    arguments = "-da_grid_x 9 -da_grid_y 9 -ts_max_steps 20 -ksp_view -pc_sorlearn_learner fixed".split()
    output = run(1, heat, *arguments, options=FLAGS, cwd=tmp_path).stdout
    assert "  sorlearn: learner fixed, omega as given, " in output
    assert "little to gain" not in output


def test_misspelt_option_is_reported_as_unused(heat, tmp_path):
    options = f"{FLAGS} -pc_sorlearn_omegamax 1.9"
    output = run(1, heat, "-ts_max_steps", "1", "-options_left", options=options, cwd=tmp_path).stdout
    assert "-pc_sorlearn_omegamax" in output[output.index("unused database option") :]


@pytest.mark.parallel(1, 2)
def test_prefixes_are_kept_apart():
    from systems import laplacian, random_rhs, solver

    A = laplacian(8)
    one = solver(A, "one_", pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.2)
    two = solver(A, "two_", pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.7)
    for ksp in (one, two):
        ksp.solve(*random_rhs(A))
    assert [ksp.getPC().getPythonContext().omega for ksp in (one, two)] == [1.2, 1.7]


def test_database_wins_over_code_and_unknown_names_are_refused():
    settings = parse("", {STEM + "omega": "1.3"}.get, {"omega": 1.7, "seed": 4})
    assert (settings.omega, settings.seed) == (1.3, 4)
    with pytest.raises(OptionError, match="'omgea'"):
        parse("", {}.get, {"omgea": 1.7})


def test_help_text_names_default_and_allowed():
    text = help_text("heat_")
    for option in fields(Settings):
        assert f"-heat_{STEM}{option.name} <{option.default}>: {option.metadata['help']}" in text
        assert option.metadata["allowed"] in text


NAMES = [option.name for option in fields(Settings)]
TEXTS = st.one_of(
    st.text(max_size=12),
    st.floats().map(str),
    st.integers().map(str),
    st.sampled_from(["auto", "work", "none", "user", "fixed", "true", "", "1e400", "1_0", " 1.5", "٣", "0x1"]),
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=6))
def test_any_text_gives_settings_that_round_trip_or_an_error_that_names_the_option(texts):
    try:
        found = parse("p_", {STEM + name: text for name, text in texts.items()}.get, {})
    except OptionError as error:
        message = str(error)
        named = [name for name in NAMES if f"-p_{STEM}{name} " in message]
        assert len(named) >= 1 and len(message.splitlines()) <= 1, message
        return
    space = found.space()
    assert 0.0 < space.omega_min <= space.omega_max < 2.0 and 0.0 < found.omega < 2.0
    again = {STEM + name: str(getattr(found, name)) for name in NAMES if getattr(found, name) is not None}
    assert parse("p_", again.get, {}) == found


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NAMES), TEXTS)
def test_a_single_wrong_option_is_named_with_its_value(name, text):
    try:
        parse("p_", {STEM + name: text}.get, {})
    except OptionError as error:
        assert str(error).startswith(f"-p_{STEM}")
        if f"{name} {text!r}: must be " not in str(error):  # it fits by itself, but not together with others
            assert name in ("learner", "omega_min", "omega_max", "context_min", "context_max")
