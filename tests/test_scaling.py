"""What benchmarks/scaling.py and growth.py reckon; no time is looked at."""

from __future__ import annotations

import json
import os
import sys

import pytest
from conftest import ROOT, run

PATHS = [str(ROOT / "benchmarks"), str(ROOT / "demos")]


@pytest.fixture
def scaling(monkeypatch):
    monkeypatch.setattr(sys, "path", [*PATHS, *sys.path])
    import scaling

    return scaling


def test_model(scaling):
    model = scaling.Model(work=20e-9, hop=1e-6, own=250e-6)
    assert model.solve(1, 1e4, 20) == pytest.approx(20 * 20e-9 * 1e4)
    assert model.solve(1024, 1e4, 20) == pytest.approx(20 * (20e-9 * 1e4 + 3 * 10e-6))
    shares = [model.share(1024, unknowns, 20) for unknowns in (1e2, 1e3, 1e4, 1e5, 1e6)]
    assert max(shares) < 0.05 and shares[2:] == sorted(shares[2:], reverse=True) and shares[-1] < 1e-3
    # Where messages are all that takes time, a repeated solve's is one among those of CG's reductions.
    slow = scaling.Model(work=20e-9, hop=1.0, own=0.0)
    assert 1 / 60 <= slow.share(1024, 1e4, 20) < 2 / 60


def test_measured(scaling):
    def tally(iterations, seconds):
        return {"iterations": iterations, "seconds": seconds}

    rounds = [{"tallies": {scaling.ONE: tally([8], [4.0]), scaling.BEST: tally([4, 4], [2.0, 2.0 + k]),
                           scaling.AUTO: tally([3, 4], [3.0 - k, 2.0])},
               "decided": 1, "messages": 3, "own": 0.5, "omega": 1.5} for k in (0, 1)]  # fmt: skip
    found = scaling.measured(2, 100, rounds)
    assert (found.over_best, found.over_one, found.iterations_over_one) == (1.0, 0.5, 3 / 8)
    assert (found.decided, found.messages) == (0.5, 2.0)  # three in Python, one for the solve that didn't come there
    assert found.share == 0.125


def test_windows_of_a_tiny_run():
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT), *PATHS, os.environ.get("PYTHONPATH", "")])}
    code = "import growth, json; print(json.dumps(growth.many(1000)))"
    windows = json.loads(run(1, sys.executable, "-c", code, env=env).stdout)
    assert [window["solves"] for window in windows] == [100, 316, 1000]
    assert all(0.0 < window["decided"] <= 1.0 for window in windows)
    assert all(window["bytes"] > 0 for window in windows)
