"""README's ways to install: what they install works in a C application, away from the checkout."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, FLAGS, ROOT, run

IN_A_VENV = sys.prefix != sys.base_prefix
#: Test packages beside the checkout, without the checkout itself.
OTHERS = os.pathsep.join(
    folder for folder in ENVIRONMENT["PYTHONPATH"].split(os.pathsep) if folder and Path(folder).resolve() != ROOT
)
SMALL = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 3".split()
PIP = [name for name in ("pip", "setuptools", "wheel") if importlib.util.find_spec(name) is None]


def recipe(beginning):
    """The line of README that begins so, without its comment."""
    (line,) = re.findall(rf"^    ({re.escape(beginning)}.*?)(?:  +#.*)?$", (ROOT / "README.md").read_text(), re.M)
    return line


def works(heat, folder, environment):
    """Whether a C application finds sorlearn, and its files are there."""
    environment = {"PYTHONPATH": OTHERS, **environment}
    output = run(1, heat, *SMALL, "-pc_sorlearn_monitor", options=FLAGS, env=environment, cwd=folder).stdout
    assert output.count("sorlearn (no prefix) solve") == 3
    commands = [["python3", "-m", "sorlearn", *words.split()] for words in ("doctor", "petscrc", "petscrc --python")]
    found, petscrc, python = (run(1, *command, env=environment, cwd=folder).stdout for command in commands)
    assert str(ROOT / "sorlearn") not in found + petscrc + python
    assert run(1, heat, *SMALL, "-options_file", petscrc.strip(), env=environment, cwd=folder).returncode == 0
    assert "-python\n" not in Path(python.strip()).read_text()


@pytest.fixture
def heat(compiled):
    return compiled(ROOT / "demos/c/heat.c")


@pytest.fixture
def source(tmp_path):
    """A checkout to build in, so that this one stays as it is."""
    folder = tmp_path / "checkout"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "sorlearn", folder / "sorlearn", ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_path(heat, source, tmp_path):
    line = recipe("export PYTHONPATH=")
    environment = {**ENVIRONMENT, "PYTHONPATH": OTHERS}
    command = ["sh", "-c", f"{line}; printenv PYTHONPATH"]
    path = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=True).stdout
    works(heat, tmp_path, {"PYTHONPATH": path.strip()})


@pytest.mark.skipif(bool(PIP), reason=f"this Python has no {', '.join(PIP)} (Debian: the package python3-pip)")
@pytest.mark.skipif(IN_A_VENV, reason="for Debian's own Python: a venv has no user's packages")
def test_debian(heat, source, tmp_path):
    env = {"PYTHONUSERBASE": str(tmp_path / "user"), "PIP_NO_INDEX": "1", "PYTHONPATH": OTHERS}
    run(1, *shlex.split(recipe("python3 -m pip install --user")), env=env, cwd=source)
    shutil.rmtree(source)
    works(heat, tmp_path, env)


@pytest.mark.skipif(bool(PIP), reason=f"this Python has no {', '.join(PIP)} (Debian: the package python3-pip)")
def test_venv(heat, source, tmp_path):
    """A venv that sees the packages of this Python, as one would make it for an application."""
    run(1, sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", tmp_path / "venv")
    if IN_A_VENV:  # a venv of a venv sees the packages of neither
        (packages,) = (tmp_path / "venv/lib").glob("python3*/site-packages")
        others = next(folder for folder in sys.path if folder.startswith(sys.prefix) and folder.endswith("-packages"))
        (packages / "others.pth").write_text(f"{others}\n")
    env = {"PATH": f"{tmp_path / 'venv/bin'}:{ENVIRONMENT['PATH']}", "PIP_NO_INDEX": "1", "PYTHONPATH": OTHERS}
    command = shlex.split(recipe("python3 -m pip install .")) + ["--no-build-isolation"]  # no network here
    run(1, *command, env=env, cwd=source)
    shutil.rmtree(source)
    assert list((tmp_path / "venv/lib").glob("python3*/site-packages/sorlearn/petscrc"))
    works(heat, tmp_path, env)
