"""Every demo runs and gives the numbers that it should."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from conftest import ROOT, run

DEMOS = ROOT / "demos"
#: Heat left at the end of the quick run of heat2d.py, from a direct solver.
HEAT = 0.1108483
#: Every program in demos/ and what runs it; those in demos/paper are in test_paper.py.
LISTED = {
    "c/heat.c": "test_clients.py",
    "demo.py": "test_demo",
    "dolfinx_heat.py": "test_dolfinx",
    "fortran/heat.F90": "test_clients.py",
    "heat2d.py": "test_heat2d",
}


def numbers(nprocs, module, *arguments, **keywords):
    """What `main(quick=True)` of a demo returns on the first rank."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv.pop(1)); "
        f"import {module}; result = {module}.main(quick=True, **{keywords!r}); "
        "from petsc4py import PETSc; "
        "PETSc.COMM_WORLD.rank == 0 and print('result:', json.dumps(result))"
    )
    output = run(nprocs, sys.executable, "-c", code, DEMOS, *arguments).stdout
    (line,) = (line for line in output.splitlines() if line.startswith("result: "))
    return json.loads(line.partition(" ")[2])


def test_every_demo_is_listed():
    programs = [path for path in DEMOS.rglob("*") if path.suffix in (".py", ".c", ".F90")]
    programs = [path for path in programs if path.parent.name != "paper"]
    assert {str(path.relative_to(DEMOS)) for path in programs} == set(LISTED)


@pytest.mark.parametrize("nprocs", [1, 2, 3, 4])
def test_heat2d(nprocs):
    result = numbers(nprocs, "heat2d", "-pc_type", "sor")
    assert 50 <= result["iterations"] <= 150
    assert result["residual"] <= 1e-8
    assert result["heat"] == pytest.approx(HEAT, rel=1e-6)


def test_demo(tmp_path):
    picture = tmp_path / "picture.png"
    result = numbers(1, "demo", picture=str(picture))
    assert max(result["residual"]) <= 1e-8
    assert result["difference"] <= 1e-6
    assert len(result["omega"]) == 50
    assert picture.stat().st_size > 10_000


def test_what_the_demo_says_was_saved(capsys, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(DEMOS))
    import demo

    def run(label, options, output):
        iterations, seconds = (200, 4.0) if label == "ω = 1" else (150, 5.0)
        if label != "ω = 1":
            (tmp_path / options[options.index("-pc_sorlearn_journal") + 1]).write_text('{"omega": 1.5}\n')
        return {"iterations": iterations, "seconds": seconds, "residual": 1e-9, "u": np.ones(4),
                "iterations_per_step": np.array([iterations])}  # fmt: skip

    monkeypatch.setattr(demo, "run", run)
    demo.main(picture=tmp_path / "picture.png")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "saved by learning ω: 25 % of the iterations, -25 % of the time"


@pytest.mark.parametrize("nprocs", [1, 2])
def test_dolfinx(nprocs):
    """A new KSP under a new prefix every step goes on with what the last one has learned."""
    pytest.importorskip("dolfinx", reason="DOLFINx (Debian's python3-dolfinx) isn't installed")
    native = numbers(nprocs, "dolfinx_heat", learn=False)
    learned = numbers(nprocs, "dolfinx_heat", learn=True)
    assert learned["heat"] == pytest.approx(native["heat"], rel=1e-6)
    assert learned["iterations"] < 0.95 * native["iterations"]
