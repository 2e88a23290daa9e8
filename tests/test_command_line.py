"""`python3 -m sorlearn`: what it prints is what works."""

from __future__ import annotations

import sys
from dataclasses import fields

import pytest
from conftest import FLAGS, ROOT, run

from sorlearn import __version__
from sorlearn.__main__ import main
from sorlearn.options import STEM, Settings

SMALL = "-da_grid_x 15 -da_grid_y 15 -ts_max_steps 3".split()
APP = """
import sys
import petsc4py
petsc4py.init(sys.argv)
sys.path.insert(0, {tests!r})
from systems import from_options, laplacian, random_rhs
A = laplacian(6)
ksp = from_options(A, "")
ksp.solve(*random_rhs(A))
assert ksp.getConvergedReason() > 0
print(type(ksp.getPC().getPythonContext()).__module__)
"""


def said(capsys, *arguments):
    main(list(arguments))
    return capsys.readouterr().out.strip()


@pytest.fixture
def app(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(APP.format(tests=str(ROOT / "tests")))
    return path


def test_flags(capsys):
    assert said(capsys, "flags") == FLAGS
    assert said(capsys, "flags", "--python") == FLAGS.removeprefix("-python ")


def test_options_lists_all(capsys):
    text = said(capsys, "options")
    assert all(f"  -{STEM}{option.name} <" in text for option in fields(Settings))


def test_version_and_misuse(capsys):
    for arguments, status in ((["--version"], 0), ([], 2), (["flag"], 2), (["report"], 2)):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == status
    assert capsys.readouterr().out.strip() == __version__


def test_the_file_for_c_applications_is_enough(compiled, capsys):
    heat = compiled(ROOT / "demos/c/heat.c")
    output = run(1, heat, *SMALL, "-options_file", said(capsys, "petscrc"), "-pc_sorlearn_monitor").stdout
    assert output.count("sorlearn (no prefix) solve") == 3


@pytest.mark.parametrize("nprocs", [1, 2])
def test_the_file_for_python_programs_is_enough(app, capsys, nprocs):
    output = run(nprocs, sys.executable, app, "-options_file", said(capsys, "petscrc", "--python")).stdout
    assert output.count("sorlearn.petsc.pc") == nprocs


@pytest.mark.parametrize("nprocs", [1, 2])
def test_the_bare_module_is_the_class(compiled, app, nprocs):
    """`-pc_python_type sorlearn`, and the same for the guarded solver."""
    bare = "-pc_type python -pc_python_type sorlearn"
    heat = compiled(ROOT / "demos/c/heat.c")
    output = run(nprocs, heat, *SMALL, "-ksp_view", options=f"-python {bare}").stdout
    assert "  sorlearn: learner auto, learning, 2 solves so far\n" in output
    assert run(nprocs, sys.executable, app, options=bare).stdout.count("sorlearn.petsc.pc") == nprocs
    guarded = "-ksp_type python -ksp_python_type sorlearn -sorlearn_ksp_type cg"
    assert run(nprocs, sys.executable, app, options=guarded).stdout.count("sorlearn.petsc.pc") == nprocs
    output = run(nprocs, heat, *SMALL, "-ksp_view", options=f"-python {guarded}").stdout
    assert "  KSP Object: (sorlearn_)" in output and "learning" in output
