"""Applications that were not written for sorlearn must run with its flags as they do without."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import FLAGS, ROOT, pkg_config, run


class Client(NamedTuple):
    """A program and the arguments to run it with; `solution` is the option that saves what it computed."""

    source: str
    arguments: str
    solution: str = "-ts_view_solution"


CLIENTS = {
    "c": Client("demos/c/heat.c", "-da_grid_x 31 -da_grid_y 31"),
    "fortran": Client("demos/fortran/heat.F90", "", "-ksp_view_solution"),
    "ts/ex13": Client("ts/tutorials/ex13.c", "-ts_max_steps 20 -da_grid_x 32 -da_grid_y 32 -ksp_type cg"),
    "ts/ex2": Client("ts/tutorials/ex2.c", "-m 200 -time_steps 10 -ts_type beuler"),
    "ksp/ex16": Client("ksp/ksp/tutorials/ex16.c", "-ntimes 10 -m 40 -n 40", "-ksp_view_solution"),
}
SOLVED = re.compile(r"Linear .*solve (converged|did not converge) due to (\w+) iterations (\d+)")


class Outcome(NamedTuple):
    iterations: list
    solution: np.ndarray
    output: str


@pytest.fixture(params=CLIENTS)
def client(request):
    return CLIENTS[request.param]


@pytest.fixture
def program(client, compiled, tutorial):
    if not client.source.startswith("demos/"):
        return tutorial(client.source)
    if client.source.endswith(".F90") and not pkg_config("--variable=fcompiler"):
        pytest.skip("this PETSc was built without Fortran")
    return compiled(ROOT / client.source)


@pytest.fixture
def outcome(client, program, tmp_path):
    """Function that runs the client with some options, checks that it converges and returns its `Outcome`."""

    def solve(nprocs, options):
        saved = tmp_path / "solution"
        arguments = f"{client.arguments} -ksp_converged_reason {client.solution} binary:{saved}"
        output = run(nprocs, program, *arguments.split(), options=options, cwd=tmp_path).stdout
        solves = SOLVED.findall(output)
        assert solves and all(verdict == "converged" for verdict, _, _ in solves), output
        return Outcome([int(its) for _, _, its in solves], read_vector(saved), output)

    return solve


def read_vector(path: Path) -> np.ndarray:
    """The vector in a PETSc binary file: class id and length, then the values, all big-endian."""
    header = np.fromfile(path, dtype=">i4", count=2)
    assert header[0] == 1211214
    return np.fromfile(path, dtype=">f8", count=header[1], offset=8)


@pytest.mark.parametrize("nprocs", [1, 2])
def test_same_answer_with_learned_omega(outcome, nprocs):
    native = outcome(nprocs, "-ksp_rtol 1e-10 -pc_type sor")
    learned = outcome(nprocs, f"-ksp_rtol 1e-10 {FLAGS}")
    assert len(learned.iterations) >= len(native.iterations)  # more where a solve was repaired
    assert sum(learned.iterations) < sum(native.iterations)
    scale = np.linalg.norm(native.solution)
    assert np.linalg.norm(learned.solution - native.solution) <= 1e-6 * scale


@pytest.mark.parametrize("nprocs", [1, 2])
@pytest.mark.parametrize("omega", [0.8, 1.0, 1.5, 1.9])
def test_fixed_omega_is_native_sor(outcome, nprocs, omega):
    native = outcome(nprocs, f"-ksp_monitor -pc_type sor -pc_sor_omega {omega}")
    fixed = outcome(nprocs, f"-ksp_monitor {FLAGS} -pc_sorlearn_learner fixed -pc_sorlearn_omega {omega}")
    assert fixed.output == native.output
    assert np.array_equal(fixed.solution, native.solution)


def test_options_file_of_the_package(compiled):
    heat = compiled(ROOT / "demos/c/heat.c")
    small = ["-da_grid_x", "31", "-da_grid_y", "31", "-ts_max_steps", "5", "-ksp_view"]
    output = run(1, heat, *small, "-python", "-options_file", ROOT / "sorlearn/petscrc").stdout
    assert "sorlearn" in output


def test_nothing_left_in_the_options_database(compiled):
    heat = compiled(ROOT / "demos/c/heat.c")
    output = run(2, heat, "-ts_max_steps", "5", "-options_left", options=FLAGS).stdout
    assert "There are no unused options" in output


GUARDED = "-python -ksp_type python -ksp_python_type sorlearn.KSP"
ARMS = f"{GUARDED} -sorlearn_arms sor,icc"
NAMES = {
    "journal": f"{FLAGS} -pc_sorlearn_journal",
    "state": f"{FLAGS} -pc_sorlearn_save",
    "Lag's journal": "-python -pc_type python -pc_python_type sorlearn.Lag -lag_pc_type icc -lag_journal",
    "arms' journal": f"{ARMS} -sorlearn_arms_journal",
    "arms' state": f"{ARMS} -sorlearn_arms_save",
}
#: As the system has it in Latin-1, bytes that aren't UTF-8.
LATIN = "zur\udcfcck"


@pytest.mark.parametrize("options", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("name", ["zurück", LATIN], ids=["UTF-8", "Latin-1"])
def test_names_of_files_are_what_was_given_in_every_locale(compiled, tmp_path, options, name):
    """The Python inside an application takes ASCII alone in the C locale, as batch jobs have it."""
    heat, path = compiled(ROOT / "demos/c/heat.c"), tmp_path / f"{name}.json"
    done = run(1, heat, "-da_grid_x", 20, "-da_grid_y", 20, "-ts_max_steps", 20, options=f"{options} {path}",
               env={"LC_ALL": "C"}, cwd=tmp_path)  # fmt: skip
    assert done.stderr == "" and path.stat().st_size > 100
    if "save" in options:
        again = run(1, heat, "-da_grid_x", 20, "-da_grid_y", 20, "-ts_max_steps", 20, cwd=tmp_path,
                    options=f"{options.replace('_save', '_load')} {path}", env={"LC_ALL": "C"})  # fmt: skip
        assert again.stderr == ""


SOLVERS = {"PC": FLAGS, "KSP": f"{GUARDED} -sorlearn_ksp_type cg", "arms": ARMS,
           "Lag": "-python -pc_type python -pc_python_type sorlearn.Lag -lag_pc_type icc"}  # fmt: skip
FOREIGN = ["-mine", LATIN, f"-{LATIN}", 1, f"-ksp_{LATIN}", 2, f"-sorlearn_icc_{LATIN}", 3, "-pc_sorlearn_group", LATIN]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_options_that_are_not_in_utf8_change_nothing(compiled, tmp_path, solver, locale):
    heat, env = compiled(ROOT / "demos/c/heat.c"), {"LC_ALL": locale}
    size = ["-da_grid_x", 20, "-da_grid_y", 20, "-ts_max_steps", 20, "-options_left", "no"]
    done = run(1, heat, *size, *FOREIGN, options=SOLVERS[solver], env=env, cwd=tmp_path)
    plain = run(1, heat, *size, options=SOLVERS[solver], env=env, cwd=tmp_path)
    assert done.stderr == ""
    if solver in ("PC", "KSP"):  # the others go by what solves take
        assert done.stdout == plain.stdout
    assert done.stdout.split()[:2] == ["20", "steps,"]
    assert float(done.stdout.split()[-1]) == pytest.approx(float(plain.stdout.split()[-1]), rel=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_program_that_frees_memory_with_petsc(compiled, tmp_path, solver):
    """It has a copy of the pointer behind PetscFree, and PETSc's library uses that one."""
    source = tmp_path / "frees.c"
    frees = "PetscErrorCode Frees(void *memory)\n{\n  PetscCall(PetscFree(memory));\n  return 0;\n}\n"
    source.write_text((ROOT / "demos/c/heat.c").read_text(encoding="utf-8") + frees, encoding="utf-8")
    size = ["-da_grid_x", 20, "-da_grid_y", 20, "-ts_max_steps", 20, "-malloc_dump"]
    assert run(1, compiled(source), *size, options=SOLVERS[solver]).stderr == ""


SAID = {
    "-pc_sorlearn_learner": r"-pc_sorlearn_learner 'zur\udcfcck': must be one of auto",
    f"-pc_sorlearn_{LATIN}": r"-pc_sorlearn_zur\udcfcck isn't an option of sorlearn",
    "-pc_sorlearn_context_option kappa -kappa": r"-kappa is 'zur\udcfcck', not a finite number",
    "-pc_sorlearn_context_option": r"-zur\udcfcck is missing or has no value",
}


@pytest.mark.parametrize("options", SAID, ids=["learner", "name", "context", "name of a context"])
def test_what_is_wrong_is_named_with_its_bytes_escaped(compiled, tmp_path, options):
    heat = compiled(ROOT / "demos/c/heat.c")
    done = run(1, heat, "-da_grid_x", 20, "-da_grid_y", 20, "-ts_max_steps", 5, "-options_left", "no",
               *options.split(), LATIN, options=FLAGS, env={"LC_ALL": "C"}, cwd=tmp_path,
               check=options != "-pc_sorlearn_learner")  # fmt: skip
    assert SAID[options] in done.stderr


def test_an_arm_of_a_type_that_is_not_in_utf8_is_left_out(compiled, tmp_path):
    heat = compiled(ROOT / "demos/c/heat.c")
    done = run(1, heat, "-da_grid_x", 20, "-da_grid_y", 20, "-ts_max_steps", 5, "-sorlearn_icc_pc_type", LATIN,
               options=ARMS, env={"LC_ALL": "C"}, cwd=tmp_path)  # fmt: skip
    assert "arm icc is left out" in done.stderr and "5 steps," in done.stdout
