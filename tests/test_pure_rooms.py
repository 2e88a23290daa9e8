"""Rooms that must work, and be testable, where there is neither PETSc nor MPI."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sorlearn"
#: All that talks to PETSc or MPI is in one folder; every other module must be importable where there is neither.
IMPURE = PACKAGE / "petsc"
#: None in sys.modules makes an import raise ImportError.
BLOCK = "import sys; sys.modules['petsc4py'] = sys.modules['mpi4py'] = None\n"


def modules():
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if IMPURE not in path.parents]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def python(code):
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize("name", modules())
def test_imports_without_petsc_and_mpi(name):
    python(f"{BLOCK}import {name}")


def test_importing_sorlearn_initialises_nothing():
    loaded = python("import sys, sorlearn; print([m for m in ('petsc4py', 'mpi4py') if m in sys.modules])")
    assert loaded.strip() == "[]"
