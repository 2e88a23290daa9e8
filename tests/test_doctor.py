"""`doctor` judges the Python that PETSc loads, and its remedies work."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, FLAGS, ROOT, run

#: Test packages beside the checkout, without the checkout itself.
OTHERS = os.pathsep.join(
    folder for folder in ENVIRONMENT["PYTHONPATH"].split(os.pathsep) if folder and Path(folder).resolve() != ROOT
)
SMALL = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 2".split()


def doctor(*arguments, **environment):
    """(exit status, output) of the doctor, started in the checkout."""
    result = run(1, sys.executable, "-m", "sorlearn", "doctor", *arguments, env=environment, cwd=ROOT, check=False)
    assert result.stderr == ""
    return result.returncode, result.stdout


def broken(folder, package):
    """A folder where importing this package fails."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("raise ImportError('broken here')\n")
    return os.pathsep.join([str(folder), str(ROOT), OTHERS])


def python3(folder, script):
    """A PATH whose first python3 is this shell script."""
    (folder / "python3").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "python3").chmod(0o755)
    return f"{folder}{os.pathsep}{ENVIRONMENT['PATH']}"


def test_all_is_there():
    for arguments in ((), ("--python",)):
        status, text = doctor(*arguments)
        assert status == 0 and "missing" not in text.replace("matplotlib: missing", "")
        assert f"sorlearn: 0.1.0 in {ROOT / 'sorlearn'}" in text and "PETSc 3." in text
        assert ("another Python: " in text) == (arguments == ())


def test_what_only_this_folder_has_is_missing_and_the_remedy_helps(compiled, tmp_path):
    """Typed as it stands; what others have put there stays."""
    status, text = doctor(PYTHONPATH=OTHERS)
    assert status == 1 and "sorlearn: missing: ModuleNotFoundError" in text
    remedy = re.search("remedy: (export PYTHONPATH=.*), or install", text).group(1)
    typed = run(1, "sh", "-c", f'{remedy}; printf %s "$PYTHONPATH"', env={"PYTHONPATH": OTHERS})
    heat = compiled(ROOT / "demos/c/heat.c")
    arguments = dict(options=FLAGS, cwd=tmp_path, check=False)
    assert run(1, heat, *SMALL, env={"PYTHONPATH": OTHERS}, **arguments).returncode != 0
    cured = typed.stdout
    assert cured.endswith(OTHERS)
    assert run(1, heat, *SMALL, env={"PYTHONPATH": cured}, **arguments).returncode == 0
    assert doctor(PYTHONPATH=cured)[0] == 0


@pytest.mark.parametrize(("package", "expected"), [("petsc4py", 1), ("numpy", 1), ("mpi4py", 0), ("matplotlib", 0)])
def test_a_package_that_does_not_load(tmp_path, package, expected):
    status, text = doctor(PYTHONPATH=broken(tmp_path, package))
    (line,) = [line for line in text.splitlines() if line.startswith(f"  {package}: missing")]
    assert status == expected and "ImportError: broken here" in line
    assert "    remedy: " in text


def test_no_python3_at_all(tmp_path):
    status, text = doctor(PATH=str(tmp_path))
    assert status == 1 and "the first python3 on PATH: none" in text


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo went away >&2; exit 3", "exit status 3: went away"), ("echo hello", "exit status 0"), ("kill -6 $$", "-6"),
     ("printf '\\377\\n'", "exit status 0"), ("echo '{}'", "exit status 0"), ("echo 5", "exit status 0")],
)
def test_a_python3_that_is_none(tmp_path, script, said):
    status, text = doctor(PATH=python3(tmp_path, script))
    assert status == 1 and "it can't be used: " in text and said in text
    assert doctor("--python", PATH=python3(tmp_path, script))[0] == 0  # a program of this Python works


def test_a_python3_that_says_something_else_at_its_end(tmp_path):
    status, text = doctor(PATH=python3(tmp_path, f'{sys.executable} "$@"; echo bye'))
    assert "it can't be used" not in text and status == 0


def test_another_python3_first_on_path_is_the_one_that_counts(tmp_path):
    path = python3(tmp_path, f'PYTHONPATH={broken(tmp_path, "petsc4py")} exec {sys.executable} "$@"')
    status, text = doctor(PATH=path)
    assert status == 1 and f"first python3 on PATH: {tmp_path}/python3" in text and "petsc4py: missing" in text


def test_flags_in_the_environment_are_no_trouble(tmp_path):
    (tmp_path / ".petscrc").write_text(FLAGS)
    result = run(1, sys.executable, "-m", "sorlearn", "doctor", options=FLAGS, env={"HOME": str(tmp_path)}, cwd=ROOT)
    assert "PETSc 3." in result.stdout


def test_python_home_is_mentioned():
    assert f"PYTHONHOME={sys.base_prefix} decides" in doctor(PYTHONHOME=sys.base_prefix)[1]
