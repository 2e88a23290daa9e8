"""Complex numbers and 64-bit indices: Debian's other builds of PETSc, where they are installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, ROOT, run

#: Where Debian puts them; another folder of the same layout can be given.
PETSCDIRS = Path(os.environ.get("SORLEARN_TEST_PETSCDIRS", "/usr/lib/petscdir"))
#: Builds: Debian package, folder, and what its numbers are.
BUILDS = {
    "complex": ("python3-petsc4py-complex3.18", "petsc3.*/*-complex", "complex128 int32"),
    "64-bit indices": ("python3-petsc4py-64-real3.18", "petsc64-3.*/*-real", "float64 int64"),
    "complex, 64-bit indices": ("python3-petsc4py-64-complex3.18", "petsc64-3.*/*-complex", "complex128 int64"),
}
SCRIPT = """
import sys
import numpy as np
import petsc4py
petsc4py.init(sys.argv)
from petsc4py import PETSc
sys.path.insert(0, {tests!r})
from systems import from_options, laplacian, native, random_rhs, solver, true_residual

say = PETSc.Sys.Print
say("numbers:", np.dtype(PETSc.ScalarType), np.dtype(PETSc.IntType).name.replace("longlong", "int64"))
is_complex = np.issubdtype(PETSc.ScalarType, np.complexfloating)


def hermitian(n):
    A = laplacian(n)
    for row in range(*A.getOwnershipRange()):
        for k, phase, inside in ((row - 1, 0.4j, row % n > 0), (row + 1, -0.4j, row % n < n - 1)):
            if inside:
                A.setValue(row, k, -np.exp(phase) if is_complex else -1.0)
    A.assemble()
    return A


def damped(n):
    A = laplacian(n)
    A.shift(0.1j if is_complex else 0.1)
    return A


def rhs(A, seed):
    b, x = random_rhs(A, seed)
    c, _ = random_rhs(A, seed + 1000)
    b.axpy(1j if is_complex else 0.5, c)
    return b, x


cases = [(hermitian(24), "cg"), (hermitian(24), "gmres"), (damped(24), "gmres"), (damped(24), "bcgs")]
for number, (A, ksp_type) in enumerate(cases):
    for learner in ("auto", "tsallis_inf", "thompson"):
        prefix = f"learned{{number}}_{{learner}}_"
        ksp = solver(A, prefix, ksp_type=ksp_type, pc_sorlearn_learner=learner, pc_sorlearn_journal="journal")
        tuner, omegas = ksp.getPC().getPythonContext(), set()
        for seed in range(40):
            b, x = rhs(A, seed)
            ksp.solve(b, x)
            assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) < 1e-3
            omegas.add(tuner.omega)
        assert tuner.position == "learning" and len(omegas) > 1
        ksp.destroy()
    for omega in (0.8, 1.0, 1.5, 1.9):
        for sweep in ({{}}, {{"pc_sor_diagonal_shift": 0.25}}, {{"pc_sor_its": 2}}):
            norms = []
            for kind in ("native", "fixed"):
                given = {{"ksp_type": ksp_type, "ksp_max_it": 50, **sweep}}
                if kind == "native":
                    ksp = native(A, "native_", pc_sor_omega=omega, **given)
                else:
                    ksp = solver(A, "fixed_", pc_sorlearn_learner="fixed", pc_sorlearn_omega=omega, **given)
                ksp.setConvergenceHistory()
                b, x = rhs(A, 0)
                ksp.solve(b, x)
                norms.append((ksp.getConvergedReason(), *ksp.getConvergenceHistory(), *x.getArray()))
                ksp.destroy()
                for name in PETSc.Options().getAll():
                    PETSc.Options().delValue(name)
            assert np.array_equal(*norms, equal_nan=True), (number, omega, sweep)
database = PETSc.Options()
database["ksp_type"], database["ksp_python_type"], database["sorlearn_ksp_type"] = "python", "sorlearn.KSP", "gmres"
ksp = from_options(cases[2][0], "")
for seed in range(20):
    b, x = rhs(cases[2][0], seed)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0
ksp.destroy()
say("end")
"""


@pytest.fixture(params=BUILDS)
def build(request):
    """(numbers, environment) of a build."""
    package, pattern, numbers = BUILDS[request.param]
    if Path(sys.executable).parent != Path("/usr/bin"):
        pytest.skip("Debian's builds of PETSc belong to /usr/bin/python3")
    found = sorted(path for path in PETSCDIRS.glob(pattern) if (path / "lib/python3/dist-packages/petsc4py").is_dir())
    if not found:
        pytest.skip(f"no such build here (Debian: the package {package})")
    folder = found[-1]
    libraries = (str(folder / "lib"), os.environ.get("LD_LIBRARY_PATH", ""))
    modules = (str(ROOT), str(folder / "lib/python3/dist-packages"), ENVIRONMENT["PYTHONPATH"])
    env = {
        "PETSC_DIR": str(folder),
        "PETSC_ARCH": "",
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
        "PYTHONPATH": ":".join(modules),
    }
    return numbers, env


@pytest.mark.parametrize("nprocs", [1, 2])
def test_learning_and_fixed_omega(build, tmp_path, nprocs):
    numbers, env = build
    script = tmp_path / "app.py"
    script.write_text(SCRIPT.format(tests=str(ROOT / "tests")))
    result = run(nprocs, sys.executable, script, env=env, cwd=tmp_path)
    assert f"numbers: {numbers}\n" in result.stdout and "\nend\n" in result.stdout
    assert "sorlearn:" not in result.stderr


@pytest.mark.parametrize(
    ("file", "without"),
    [("test_equivalence.py", ""), ("test_rescue.py", "ex13 tutorials np2"), ("test_ksp.py", "inside view np2")],
)
def test_the_tests_of_the_default_build(build, file, without):
    """Those that need no C application; on two ranks the ones that are cheap."""
    chosen = " and ".join(f"not {word}" for word in without.split())
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", "-k", chosen, ROOT / "tests" / file]
    output = run(1, *command, env=build[1], cwd=ROOT, timeout=300).stdout
    assert " passed" in output and "failed" not in output
