"""Input without effect is told once, from one rank, and changes nothing."""

from __future__ import annotations

import pytest
from conftest import FLAGS, ROOT, run

from sorlearn.errors import OptionError
from sorlearn.hints import of_context, of_options, of_unheeded_context
from sorlearn.learners import LEARNERS
from sorlearn.options import Settings, context_value, parse

SMALL = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 6".split()
RANGE = {"context_min": 0.0, "context_max": 10.0}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("omegamax", "did you mean omega_max?"),
        ("lerner", "did you mean learner?"),
        ("contxt_option", "did you mean context_option?"),
        ("zzz", "`python3 -m sorlearn options` lists them"),
        ("", "`python3 -m sorlearn options` lists them"),
    ],
)
def test_unknown_options(name, said):
    (line,) = of_options("heat_", [f"heat_pc_sorlearn_{name}", "heat_pc_sorlearn_seed", "ksp_type"])
    assert line.startswith(f"-heat_pc_sorlearn_{name} isn't an option of sorlearn") and line.endswith(said)


def test_every_option_is_known_and_other_prefixes_are_others_business():
    known = [f"heat_pc_sorlearn_{name}" for name in Settings.__dataclass_fields__]
    others = ["pc_sorlearn_zzz", "flow_pc_sorlearn_zzz", "pc_sor_omega", "heat_pc_sor_its"]
    assert of_options("heat_", known + others) == []


def test_the_omega_of_native_sor():
    (line,) = of_options("heat_", ["heat_pc_sor_omega"])
    assert "-heat_pc_sor_omega has no effect" in line and "-heat_pc_sorlearn_omega" in line


def test_sweeps_that_eisenstats_form_does_not_have():
    given = ["heat_pc_sor_its", "heat_pc_sor_omega", "heat_pc_eisenstat_omega", "pc_sor_its"]
    omegas, others = of_options("heat_", given), of_options("heat_", given, "eisenstat")
    assert len(omegas) == 2 and all("its safe omega is -heat_pc_sorlearn_omega" in line for line in omegas)
    assert others[2:] == ["-heat_pc_sor_its has no effect on Eisenstat's form of SOR; "
                          "remedy: -heat_pc_sorlearn_pc_type sor"]  # fmt: skip


def test_a_misspelt_option_given_in_code_is_refused_with_the_right_command():
    with pytest.raises(OptionError, match="'zzz'; `python3 -m sorlearn options` lists them"):
        parse("", {}.get, {"zzz": 1})


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_context_that_nobody_assigns(learner):
    needs = learner in ("chebcb", "tsallis_inf_cb")
    line = of_context("heat_", Settings(learner=learner, **RANGE), False)
    assert line.startswith("-heat_pc_sorlearn_context_min and _max: no context is assigned")
    assert ("it is rho of the matrix" in line) == needs and (f"learner {learner} goes without" in line) == (not needs)
    assert "remedy: -heat_pc_sorlearn_context_option" in line
    line = of_context("heat_", Settings(learner=learner, context="user", **RANGE), True)
    assert line.startswith("-heat_pc_sorlearn_context user: ") and f"learner {learner} goes without" in line


@pytest.mark.parametrize(("settings", "assigned", "says"), [
    ({"context": "none", "context_option": "kappa"}, False, None), ({"context": "none"}, True, None),
    ({"learner": "thompson"}, True, "the context has no effect on learner thompson"),
    ({"learner": "tsallis_inf", "context_option": "kappa"}, False, "remedy: -heat_pc_sorlearn_learner auto"),
    ({"learner": "chebcb", "context_option": "kappa,dt", **RANGE}, False, "heeds only the first number"),
    ({"learner": "chebcb", "context_option": "kappa", **RANGE}, False, None),
    ({"context_option": "kappa,dt"}, False, None), ({}, True, None), ({"learner": "thompson"}, False, None),
])  # fmt: skip
def test_a_context_that_is_not_heeded(settings, assigned, says):
    line = of_unheeded_context("heat_", Settings(**settings), assigned)
    assert line is None if says is None else says in line


def test_no_word_where_nothing_is_passed_over():
    assert of_context("", Settings(), False) is None
    assert of_context("", Settings(context="none"), True) is None
    assert of_context("", Settings(learner="chebcb", **RANGE), True) is None  # `-pc_sorlearn_context auto`


@pytest.mark.parametrize("nprocs", [1, 2])
def test_c_application_runs_on_and_leaves_them_unused(compiled, tmp_path, nprocs):
    heat = compiled(ROOT / "demos/c/heat.c")
    native = run(nprocs, heat, *SMALL, options=FLAGS, cwd=tmp_path)
    unused = ["-pc_sorlearn_omegamax 1.9", "-pc_sor_omega 1.2"]
    options = " ".join([FLAGS, *unused, "-pc_sorlearn_context_max 3"])
    result = run(nprocs, heat, *SMALL, "-options_left", options=options, cwd=tmp_path)
    said = [line for line in result.stderr.splitlines() if "sorlearn" in line]
    assert len(said) == 3 and all(line.startswith("sorlearn: solver '': ") for line in said), result.stderr
    assert native.stderr.count("sorlearn") == 0
    assert native.stdout.splitlines()[0] in result.stdout  # the same run
    left = result.stdout[result.stdout.index("unused database option") :]
    assert all(option.split()[0] in left for option in unused) and "context_max" not in left


@pytest.mark.parallel(1, 2)
def test_a_context_that_is_assigned_and_a_second_solver_of_the_name(capfd):
    from systems import laplacian, random_rhs, solver

    A = laplacian(8)
    for prefix, context in (("heard_", 1.0), ("silent_11111_", None), ("silent_22222_", None)):
        ksp = solver(A, prefix, pc_sorlearn_context_min=0, pc_sorlearn_context_max=3, pc_sorlearn_contxt="user")
        ksp.setFromOptions()  # once more
        ksp.getPC().getPythonContext().context = context
        for seed in range(3):
            ksp.solve(*random_rhs(A, seed))
    said = [(line.split("'")[1], "did you mean" in line) for line in capfd.readouterr().err.splitlines()]
    expected = [("heard_", True), ("silent_11111_", True), ("silent_11111_", False)]
    assert said == (expected if A.comm.rank == 0 else [])


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "1,5", "0x"])
def test_a_context_option_without_a_number_is_named(text):
    with pytest.raises(OptionError) as caught:
        context_value("heat_", "kappa", text)
    message = str(caught.value)
    assert message.startswith("-heat_pc_sorlearn_context_option kappa: -kappa is ") and "\n" not in message
    assert (repr(text) if text else "missing") in message and "remedy: " in message


@pytest.mark.parametrize("text", ["", ",", "kappa,", "kappa,,dt"])
def test_context_options_need_names(text):
    with pytest.raises(OptionError, match="-heat_pc_sorlearn_context_option .* several with commas between them"):
        parse("heat_", {"pc_sorlearn_context_option": text}.get, {})


def test_a_context_option_with_a_number():
    assert [context_value("", "kappa", text) for text in ("3", "-1e-3", " 2.5 ")] == [3.0, -0.001, 2.5]


@pytest.mark.parametrize("nprocs", [1, 2])
@pytest.mark.parametrize("given", ["", "-kappa", "-kappa abc"])
def test_learning_stops_with_one_line_that_names_the_option(compiled, tmp_path, nprocs, given):
    heat = compiled(ROOT / "demos/c/heat.c")
    options = f"{FLAGS} -pc_sorlearn_context_option kappa {given}"
    result = run(nprocs, heat, *SMALL, options=options, cwd=tmp_path)
    assert "6 steps" in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line]
    assert line.startswith("sorlearn: learning stops for solver ''")
    assert "-pc_sorlearn_context_option kappa: -kappa" in line
