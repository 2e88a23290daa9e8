"""`make bench`, tiny: its numbers belong together.  No time is looked at."""

from __future__ import annotations

import json
import os
import sys

import pytest
from conftest import ROOT, run

PATHS = [str(ROOT / "benchmarks"), str(ROOT / "demos")]
ENV = {"PYTHONPATH": os.pathsep.join([str(ROOT), *PATHS, os.environ.get("PYTHONPATH", "")])}
NAME = "heat2d 16"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Kept pieces of one round on one rank and on two."""
    folder = tmp_path_factory.mktemp("results")
    for ranks in (1, 2):
        for number in (0, 1):
            run(ranks, sys.executable, "-m", "race.lockstep", "tiny", NAME, str(number), folder, env=ENV)
    return folder


@pytest.fixture
def race(monkeypatch):
    """The modules that know nothing of PETSc."""
    monkeypatch.setattr(sys, "path", [*PATHS, *sys.path])
    from race import picture, plan, report

    return picture, plan, report


def tallies(race, folder, ranks):
    return json.loads(race[1].kept(folder, NAME, ranks, 1).read_text())["result"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_numbers_belong_together(race, folder, ranks):
    size, found = race[1].TINY[NAME], tallies(race, folder, ranks)
    its = {name: tally["iterations"][:: size.every if len(tally["iterations"]) == size.solves else 1]
           for name, tally in found.items()}  # fmt: skip
    shared = {name: sum(each) for name, each in its.items()}
    assert all(not tally["failed"] and tally["residual"] <= 1.01 for tally in found.values())
    assert all(len(tally["iterations"]) == len(tally["seconds"]) == len(tally["cpu"]) for tally in found.values())
    assert {len(each) for each in its.values()} == {size.solves // size.every}
    assert len(found["sorlearn auto"]["iterations"]) == size.solves
    assert found["sorlearn fixed"]["iterations"] == found["SOR, best fixed ω"]["iterations"]
    for one in ("SOR, best fixed ω", "SOR, ω = 1", "sorlearn auto"):
        assert shared["SOR, instance-optimal ω"] <= shared[one]
    assert shared["SOR, best fixed ω"] <= 1.02 * shared["SOR, ω = 1"]
    assert all(sum(each) == len(each) for name, each in its.items() if name.startswith("cholesky"))


def test_eisenstat_is_sor(race, folder):
    every, found = race[1].TINY[NAME].every, tallies(race, folder, 1)
    for omega, step in {"ω = 1": 1, "best fixed ω": every, "instance-optimal ω": every}.items():
        sor = sum(found[f"SOR, {omega}"]["iterations"][::step])
        assert abs(sum(found[f"Eisenstat, {omega}"]["iterations"]) - sor) <= 0.05 * sor


@pytest.mark.parametrize("ranks", [1, 2])
def test_table_and_pictures(race, folder, ranks, tmp_path):
    picture, plan, report = race
    table = report.read(folder, NAME, ranks, 3)
    assert report.read(folder, NAME, ranks, 3, "least").rows == report.read(folder, NAME, ranks, 3).rows  # of one round
    assert (table.rounds, table.ranks) == (1, ranks)
    rows = {row.name: row for row in table.rows}
    assert rows[plan.BEST].over_best == rows[plan.OPTIMAL].over_optimal == (1.0, 1.0, 1.0)
    printed = report.text(table)
    assert all(name in printed for name in rows) and "faster than it" in printed
    assert report.read(folder, NAME, 7, 3) is None
    picture.draw([table, table], tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == ({"heat.png", "all.png"} if ranks == 1 else {"all.png"})


def test_names_its_pieces(race, folder):
    from race.__main__ import pieces

    _, plan, _ = race
    wanted = list(pieces(plan.TINY, 1, None))
    assert [(piece.ranks, piece.number) for piece in wanted] == [(1, 0), (1, 1)]
    assert all(plan.kept(folder, piece.name, piece.ranks, piece.number).exists() for piece in wanted)
    assert "heat2d 16, 1 rank, round 1" in str(wanted[1])
