"""`doctor` judges the Python that PETSc loads, and its remedies work."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, FLAGS, ROOT, SWITCH, run

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


def checkout(folder):
    """sorlearn's package in a folder of its own: that, the folder of fast.c, and a PYTHONPATH."""
    home = folder / "with blank"
    shutil.copytree(ROOT / "sorlearn", home / "sorlearn", ignore=shutil.ignore_patterns("__pycache__"))
    return home, home / "sorlearn/petsc", os.pathsep.join([str(home), OTHERS])


@pytest.mark.parametrize(("content", "says"), [
    (None, "no {}; "),
    (b"no library", "{} can't be loaded: "),
    ("int no_number;", "{} can't be loaded: "),
    ("long long sorlearn_built_for[] = {2, 0, 0, 8, 8, 4, 0, 0};", "{} was compiled for something else; "),
])  # fmt: skip
def test_a_c_file_that_is_left_out_is_named_and_the_remedy_helps(tmp_path, content, says):
    _, folder, path = checkout(tmp_path)
    library = folder / re.search(r"fast\.c: (fast-\S+\.so)", doctor("--python", PYTHONPATH=path)[1]).group(1)
    library.unlink()  # another file: libraries in use aren't written over
    if isinstance(content, str):
        (tmp_path / "other.c").write_text(content)
        run(1, "cc", "-shared", "-fPIC", tmp_path / "other.c", "-o", library)
    elif content:
        library.write_bytes(content)
    status, text = doctor("--python", PYTHONPATH=path)
    (line,) = [line for line in text.splitlines() if line.startswith("  fast.c: missing")]
    assert status == 0 and says.format(library.name) in line
    run(1, "sh", "-c", re.search("; (python3 .*build.py'?) compiles it", line).group(1))
    assert f"fast.c: {library.name}" in doctor("--python", PYTHONPATH=path)[1]


def test_without_the_c_source_what_was_compiled_is_used(tmp_path):
    _, folder, path = checkout(tmp_path)
    (folder / "fast.c").unlink()
    assert "fast.c: fast-3." in doctor("--python", PYTHONPATH=path)[1]
    program = [sys.executable, "-c", "from sorlearn.petsc import fast; print(bool(fast.library()), fast.missing())"]
    there = {"PYTHONPATH": path, SWITCH: "1"}
    assert run(1, *program, env=there, cwd=tmp_path).stdout == "True \n"
    for library in folder.glob("fast-*.so"):
        library.unlink()
    assert "no fast-3." in doctor("--python", PYTHONPATH=path)[1]
    said = run(1, *program, env=there, cwd=tmp_path).stdout
    assert said.startswith("False there is no fast-3.") and f"remedy: python3 '{folder / 'build.py'}'" in said


def test_the_switch_is_mentioned():
    assert f"{SWITCH}=0 leaves fast.c out" in doctor(**{SWITCH: "0"})[1]
    assert SWITCH not in doctor(**{SWITCH: "1"})[1]


def test_the_remedy_of_a_folder_with_a_blank_can_be_typed(tmp_path):
    home, _, _ = checkout(tmp_path)
    doctor_there = [sys.executable, "-m", "sorlearn", "doctor", "--python"]
    result = run(1, *doctor_there, env={"PYTHONPATH": OTHERS}, cwd=home, check=False)
    remedy = re.search("remedy: (export PYTHONPATH=.*), or install", result.stdout).group(1)
    typed = run(1, "sh", "-c", f'{remedy}; printf %s "$PYTHONPATH"', env={"PYTHONPATH": OTHERS}).stdout
    assert typed == os.pathsep.join(filter(None, [str(home), OTHERS]))


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
