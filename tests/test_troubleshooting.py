"""docs/troubleshooting.md: each error is provoked, and has the text under which it is listed there."""

from __future__ import annotations

import os
import re
import sys

import pytest
from conftest import ENVIRONMENT, FLAGS, ROOT, run

PAGE = (ROOT / "docs/troubleshooting.md").read_text()
OLD = "3.18"
SMALL = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 2".split()


#: Solves and ends, and does so once more.
TWICE = """
#include <petscksp.h>
int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  for (int i = 0; i < 2; i++) {
    KSP ksp;
    PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
    PetscCall(KSPCreate(PETSC_COMM_WORLD, &ksp));
    PetscCall(KSPSetFromOptions(ksp));
    PetscCall(KSPDestroy(&ksp));
    PetscCall(PetscFinalize());
  }
  return MPI_Finalize();
}
"""
PLAIN = """
class PC:
    def apply(self, pc, x, y):
        x.copy(y)
"""


@pytest.fixture(scope="module")
def version():
    return run(1, "pkg-config", "--modversion", "PETSc").stdout


@pytest.fixture
def heat(compiled):
    return compiled(ROOT / "demos/c/heat.c")


def listed(text):
    """Whether the page has this error text; what stands between quotes there, wrapped lines joined."""
    return text in re.findall("`([^`]+)`", " ".join(PAGE.split()))


def without(folder, package, error):
    """PYTHONPATH by which importing this package fails."""
    (folder / f"{package}.py").write_text(f"raise ModuleNotFoundError({error!r})\n")
    return os.pathsep.join([str(folder), ENVIRONMENT["PYTHONPATH"]])


def fails(program, *arguments, options=FLAGS, **environment):
    """All that a program says, which must fail."""
    result = run(1, program, *arguments, options=options, env=environment, check=False, cwd="/")
    assert result.returncode != 0
    return result.stdout + result.stderr


def test_no_sorlearn(heat, version, tmp_path):
    said = fails(heat, *SMALL, PYTHONPATH=without(tmp_path, "sorlearn", "No module named 'sorlearn'"))
    if version.startswith(OLD):
        assert re.search(r"^\[0\]PETSC ERROR:\s*$", said, re.M)
        texts = ["[0]PETSC ERROR:", "#1 PCSetFromOptions()", "out-of-range error code -1"]
    else:
        texts = ["ModuleNotFoundError: No module named 'sorlearn'"]
    assert all(listed(text) and text in said for text in texts)


def test_no_petsc4py(heat, tmp_path):
    said = fails(heat, *SMALL, PYTHONPATH=without(tmp_path, "petsc4py", "No module named 'petsc4py'"))
    texts = [
        "Python: could not import module 'petsc4py.PETSc', perhaps your PYTHONPATH does not contain it",
        "No module named 'petsc4py'",
    ]
    assert all(listed(text) and text in said for text in texts)


def test_no_python_flag(heat):
    said = fails(heat, *SMALL, options=FLAGS.removeprefix("-python "))
    assert listed("Unable to find requested PC type python")
    assert "Unable to find requested PC type python" in said


@pytest.mark.parametrize("kind", ["sorlearn.PC", "plain.PC"])
def test_initialised_twice(compiled, tmp_path, kind):
    source = tmp_path / "twice.c"
    source.write_text(TWICE)
    (tmp_path / "plain.py").write_text(PLAIN)
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    flags = f"-python -pc_type python -pc_python_type {kind}"
    said = fails(compiled(source), options=flags, PYTHONPATH=path)
    texts = ["PETSc._initialize()", "TypeError: 'NoneType' object is not callable"]
    assert all(listed(text) and text in said for text in texts)


def test_no_petsc_dir(heat, version):
    if version.startswith(OLD):
        pytest.skip("PETSc 3.18 of Debian needs no PETSC_DIR at run time")
    text = "Substitution string ${PETSC_DIR} not found as environmental variable"
    result = run(1, "env", "-u", "PETSC_DIR", heat, *SMALL, options=FLAGS, check=False)
    assert listed(text) and text in result.stdout + result.stderr


def test_two_pythons(version):
    program = [sys.executable, "-c", "import sys, petsc4py; petsc4py.init(sys.argv)"]
    run(1, *program, options=FLAGS.removeprefix("-python "))
    if not version.startswith(OLD):
        pytest.skip("PETSc 3.26 finds the Python that is running")
    assert listed("double free or corruption")
    said = fails(*program)
    assert "double free or corruption" in said or "SEGV" in said or "Segmentation fault" in said


def test_no_mpi4py(heat, tmp_path):
    environment = {"PYTHONPATH": without(tmp_path, "mpi4py", "No module named 'mpi4py'")}
    result = run(2, heat, *SMALL, options=FLAGS, env=environment)
    texts = ["sorlearn: learning stops for solver", "No module named 'mpi4py'"]
    assert all(listed(text) and text in result.stderr for text in texts)


def test_a_forgotten_prefix():
    code = (
        "import sys, petsc4py; petsc4py.init(sys.argv)\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from systems import from_options, laplacian, random_rhs\n"
        "A = laplacian(6)\n"
        "from_options(A, 'heat_').solve(*random_rhs(A))\n"
    )
    flags = "-heat_pc_type python -heat_pc_python_type sorlearn.PC -pc_sorlearn_seed 3"
    result = run(1, sys.executable, "-c", code, options=f"{flags} -options_left")
    text = "Option left: name:-pc_sorlearn_"
    assert listed(text) and text in result.stdout


def test_a_pattern_that_is_not_symmetric():
    code = (
        "import sys, petsc4py; petsc4py.init(sys.argv)\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from armed import force, solve, with_arms\n"
        "from systems import PETSc, one_sided\n"
        "A = one_sided(40)\n"
        "A.setOption(PETSc.Mat.Option.SYMMETRIC, True)\n"
        "ksp = with_arms(A, 'sor,cholesky')\n"
        "solve(ksp)\n"
        "force(ksp, arm=1)\n"
        "solve(ksp)\n"
    )
    text = "the matrix was declared symmetric, but its pattern isn't"
    assert listed(text) and text in run(1, sys.executable, "-c", code).stderr
