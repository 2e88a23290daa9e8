"""The paper's experiments, small: `make paper QUICK=1` and what its numbers must say."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, run

PAPER = ROOT / "demos" / "paper"
PATHS = os.pathsep.join(map(str, [ROOT, ROOT / "demos", ROOT / "benchmarks", os.environ.get("PYTHONPATH", "")]))
#: What experiments have in common; every other module is one.
MACHINERY = {"__init__", "__main__", "cells", "contenders", "heat", "model", "shifts", "style"}


def paper(folder, *arguments):
    """What `python3 -m paper` prints, with cells and figures in a folder."""
    env = {"PYTHONPATH": PATHS, "SORLEARN_CELLS": str(folder / "cells")}
    command = [sys.executable, "-m", "paper", "--quick", "--figures", folder, *arguments]
    return run(1, *command, env=env, timeout=600).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a quick run of everything."""
    folder = tmp_path_factory.mktemp("paper")
    (folder / "printed").write_text(paper(folder))
    return folder


@pytest.fixture(scope="module")
def numbers(made):
    return json.loads((made / "paper.json").read_text())


def arrays(experiment):
    return {name: np.array(values) for name, values in experiment.items()}


def test_every_script_is_an_experiment(numbers):
    scripts = {path.stem for path in PAPER.glob("*.py")} - MACHINERY
    assert scripts == set(numbers) - {"versions", "quick"}
    assert all({"sorlearn", "PETSc", "numpy", "scipy"} <= set(numbers["versions"]) for _ in scripts)


def test_says_how_long_it_takes_and_resumes(made, tmp_path):
    first = (made / "printed").read_text().splitlines()[0]
    assert "cells to make, about " in first and "on 2 cores" in first
    shutil.copytree(made / "cells", tmp_path / "cells")
    assert "to make" not in paper(tmp_path, "asymptotic")
    next(iter((tmp_path / "cells").glob("asymptotic,-ω*"))).unlink()
    assert "1 of 2 cells to make" in paper(tmp_path, "asymptotic")
    again = json.loads((tmp_path / "paper.json").read_text())
    assert again["asymptotic"] == json.loads((made / "paper.json").read_text())["asymptotic"]


def test_figures_are_small(made):
    pytest.importorskip("matplotlib")
    pictures = list(made.glob("*.png"))
    assert len(pictures) == 1 + len({path.stem for path in PAPER.glob("*.py")} - MACHINERY)  # heat2d has two
    assert all(2_000 < picture.stat().st_size < 150_000 for picture in pictures)


def test_figures_in_the_repository_are_those_of_the_scripts(made):
    pytest.importorskip("matplotlib")
    kept = ROOT / "docs" / "paper"
    assert {path.name for path in kept.glob("*.png")} == {path.name for path in made.glob("*.png")}
    assert all(path.stat().st_size < 150_000 for path in kept.glob("*.png"))
    assert not json.loads((kept / "paper.json").read_text())["quick"]


def test_asymptotic_bounds_are_bounds(numbers):
    found = arrays(numbers["asymptotic"])
    assert (found["actual"] <= found["near"]).all()
    assert (found["actual"] <= found["energy"]).all()
    assert (found["over"] <= found["tau"] * (1 - found["rho"]) + 1e-6).all()
    omegas, actual = found["omegas"], found["actual"]
    assert abs(omegas[actual.argmin()] - found["best"]) < 0.06
    assert found["auto"][1] < 1.2 * actual.min()


@pytest.mark.parametrize("variance", ["low variance", "high variance"])
def test_comparators(numbers, variance):
    found = numbers["comparators"][variance]
    assert found["smallest slack"] >= 0
    assert found["instance-optimal"] < min(found["actual"]) < found["actual"][0]
    assert found["instance-optimal bound"] < min(found["bound"])


def test_degenerate_cost_drops_where_the_vector_is_an_eigenvector(numbers):
    found = arrays(numbers["degenerate"])
    at = np.abs(found["omegas"] - 1.4).argmin()
    assert found["degenerate"][at] == np.ceil(np.log(1e-8) / np.log(0.4))
    away = np.abs(found["omegas"] - 1.4)
    assert found["degenerate"][at] < 0.7 * found["degenerate"][(away > 0.01) & (away < 0.1)].min()
    assert (found["least"] <= found["mean"]).all() and (found["mean"] <= found["most"]).all()


@pytest.mark.parametrize("variance", ["low variance", "high variance"])
def test_learning_and_contextual(numbers, variance):
    learning, contextual = numbers["learning"][variance], numbers["contextual"][variance]
    assert learning["trials below ω = 1"] == learning["trials"]
    held = contextual["orderings"]
    for name in ("chebcb below Tsallis-INF", "Tsallis-INF below ω = 1", "auto below best fixed", "auto below chebcb"):
        assert held[name] == contextual["trials"], name
    assert contextual["late"]["last tenth"] < contextual["late"]["all"]
    assert 1.0 < contextual["auto"] < 1.3


def test_cg_scaled_bounds_are_bounds(numbers):
    for name, case in numbers["cg"].items():
        found = arrays(case)
        assert (found["its"] <= 1 + found["tau"] * (found["bound"] - 1) + 1e-3).all(), name
        assert (found["its"] <= found["bound"]).all() and found["tau"] < 1, name


def test_heat2d(numbers):
    for n_x, rows in numbers["heat2d"].items():
        its = {name: row["iterations"] for name, row in rows.items() if isinstance(row, dict) and "iterations" in row}
        assert its["instance-optimal"] < its["best fixed ω"] < its["ω = 1"] < its["CG"], n_x
        assert its["auto"] < 1.1 * its["instance-optimal"], n_x
        assert its["chebcb"] < its["tsallis_inf"], n_x
        assert rows["reads of the matrix"]["auto, no context"] == 0 < rows["reads of the matrix"]["auto"], n_x
        assert all(row["time"] > 0 for row in rows.values() if isinstance(row, dict) and "time" in row)


def test_regret(numbers):
    for variance in ("low variance", "high variance"):
        for name, proven in (("tsallis_inf", 2 / 3), ("chebcb", 9 / 11)):
            found = numbers["regret"][variance][name]
            assert found["proven"] == pytest.approx(proven, rel=1e-5)
            assert min(found["excess"]) > 0 and np.isfinite(found["slope"])


def test_neighbours(numbers):
    vector = numbers["neighbours_vector"]
    both = vector["auto, log κ and log Δt"]
    assert both < min(vector["auto, log κ"], vector["auto, log Δt"], vector["auto, no context"])
    kinetics = numbers["neighbours_robertson"]
    assert kinetics["auto, rates and Δt"] < min(kinetics["auto, log Δt"], kinetics["tsallis_inf"])
    for row in numbers["neighbours_newton"].values():
        assert 0.95 < row["auto, matrix"] < 1.5 and 1.0 < row["ω = 1"] < 2.0
    for row in numbers["neighbours_sorted"].values():
        assert row["best fixed ω"] < row["auto"] < row["ω = 1"]
    for rtol, row in numbers["neighbours_inexact"].items():
        assert row["auto"]["inner"] <= row["ω = 1"]["inner"], rtol
        assert row["auto"]["outer"] <= row["ω = 1"]["outer"] + 0.5, rtol


def test_pictures_in_the_documents_exist():
    for page in [ROOT / "docs" / "paper.md", *(ROOT / "docs" / "paper").glob("*.md")]:
        for part in page.read_text().split("](")[1:]:
            target = part.partition(")")[0].partition("#")[0]
            assert target.startswith("http") or not target or (page.parent / Path(target)).exists(), (page.name, target)
