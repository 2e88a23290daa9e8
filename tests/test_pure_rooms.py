"""Rooms that must work, and be testable, where there is neither PETSc nor MPI."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ["errors", "theory", "learners", "cost", "journal", "checkpoint", "report"]
#: None in sys.modules makes an import raise ImportError.
BLOCK = "import sys; sys.modules['petsc4py'] = sys.modules['mpi4py'] = None\n"


def modules():
    names = ["sorlearn", *(f"sorlearn.{room}" for room in ROOMS)]
    names += [f"sorlearn.learners.{path.stem}" for path in sorted((ROOT / "sorlearn/learners").glob("[a-z]*.py"))]
    return [name for name in names if find_spec(name)]


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
