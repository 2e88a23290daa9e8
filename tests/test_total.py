"""What sessions of one name come to together: true of the whole run, in constant memory, and one alone as it is."""

from __future__ import annotations

import re

import pytest

from sorlearn.options import Settings
from sorlearn.records.log import Log
from sorlearn.records.summary import summarise
from sorlearn.tuning import total
from sorlearn.tuning.decision import Decision
from sorlearn.tuning.pricing import Pricing
from sorlearn.tuning.record import Outcome, Solve, SolveRecord
from sorlearn.tuning.review import Review
from sorlearn.tuning.total import Total

SETTINGS = Settings(summary=True)


def review(solves=0, *, safe=20, other=10, each=0.01, inodes=False, every=2, ratio=None, name="mesh_"):
    """Of so many solves, every second of them at the safe ω, whose iterations take `each` seconds."""
    pricing, lines = Pricing("work"), Log(name, None, None)
    found = Review(name, SETTINGS, pricing, lines, False)
    pricing.inodes = inodes
    for i in range(solves):
        omega = 1.0 if i % every == 0 else 1.5
        iterations = safe if omega == 1.0 else other
        seconds = iterations * each * pricing.of(omega)
        found.enter(Decision(omega, 1.0), Solve(Outcome(iterations, 2), seconds=seconds), ratio, why="chosen")
        lines.write(SolveRecord(i + 1, omega, iterations, 2))
    found.tally.own = 0.001 * solves
    return found


def summed(*reviews, ended=0):
    """What is said of them, the first so many of which have ended before."""
    found = Total(SETTINGS, False)
    for one in reviews:
        found.begin(one)
    for one in reviews[:ended]:
        found.end(one)
    return found.summary()


@pytest.mark.parametrize("ended", [0, 1])
@pytest.mark.parametrize("options", [
    {}, {"solves": 1}, {"solves": 60}, {"solves": 60, "inodes": True}, {"solves": 60, "ratio": 2.0},
    {"solves": 7, "every": 1}, {"solves": 2000, "every": 11, "other": 19},
])  # fmt: skip
def test_of_one_session_the_words_are_its_own(options, ended):
    one = review(**options)
    words = summarise("mesh_", "auto", one.tally, one.omegas, 1.0, one.comparison.savings(), one.price)
    assert summed(review(), one, ended=2 * ended) == summed(one, ended=ended) == words


def test_sessions_that_have_ended_count_as_those_that_have_not():
    reviews = [review(20 + i, other=10 + i, inodes=i % 2 == 0) for i in range(10)]
    assert len({summed(*reviews, ended=ended) for ended in (0, 4, 10)}) == 1


def test_counts_are_of_all():
    reviews = [review(10), review(20, safe=40), review(30)]
    repaired = Solve(Outcome(9, 2, rescued=True, failed=True, worked=1.0))
    reviews[1].enter(Decision(1.5, 1.0, tighten=30.0), repaired, None)
    text = summed(*reviews, ended=1)
    assert "learner auto, 61 solves, 1109 iterations (18.18 a solve), 11 s" in text
    assert "sum of 3 solvers that were tuned separately" in text and "20.3 solves each" in text
    assert "omega: median of 60 decisions 1.250" in text
    assert "0.06 s that sorlearn took itself" in text
    assert "failed: 1, repaired: 1, continued with omega_safe: 0" in text
    assert "tightened by 0.5 digits" in text


NUMBER = r"(-?[\d.e+-]+)"
SAVED = re.compile(rf"1: {NUMBER} % of its iterations \(from {NUMBER} to {NUMBER} %\), less the {NUMBER} s that")
ALIKE = {"solves": 200}
#: Much is saved in quick iterations, little in slow ones; and the other way round.
QUICK = {"solves": 400, "other": 5, "each": 1e-5, "ratio": 4.0}
SLOW = {"solves": 20, "safe": 200, "other": 180, "each": 1e-2, "ratio": 200 / 180}


@pytest.mark.parametrize("kinds", [
    (ALIKE, ALIKE), (ALIKE, {**ALIKE, "each": 1e-5}), (ALIKE, {**ALIKE, "inodes": True}),
    (ALIKE, {"solves": 100, "every": 1, "inodes": True}), tuple(30 * [{"solves": 3}]),
    (QUICK, SLOW), ({**QUICK, "each": 1.0}, SLOW), (SLOW, QUICK, QUICK),
])  # fmt: skip
def test_savings_are_of_all_iterations(kinds):
    """And of no seconds, as an iteration takes longer in some than in others."""
    reviews = [review(**kind) for kind in kinds]
    at_safe = [one.tally.solves * kind.get("safe", 20) for one, kind in zip(reviews, kinds)]
    share = 1.0 - sum(one.tally.iterations for one in reviews) / sum(at_safe)
    said, low, high, own = map(float, SAVED.search(summed(*reviews, ended=1)).groups())
    assert low <= 100.0 * share <= high and abs(said - 100.0 * share) <= 5.0
    assert own == pytest.approx(sum(one.tally.own for one in reviews), rel=0.05)


def test_nothing_is_claimed_of_unlike_sessions_without_a_model():
    text = summed(review(400), review(100, safe=200, other=180))
    low, high = map(int, re.search(r"not known for certain, from (-?\d+) to (-?\d+) %", text).groups())
    assert low <= 10.7 <= high


def test_savings_that_no_session_knows_of_may_be_known_of_all():
    one = review(3)
    assert "not known" in summed(one)
    assert SAVED.search(summed(*[review(3) for _ in range(30)]))


@pytest.mark.parametrize(("sessions", "solves", "said"), [(1, 19, False), (1, 20, True), (20, 5, False), (5, 20, True)])
def test_that_there_is_little_to_gain_is_said_of_those_that_had_a_chance(sessions, solves, said):
    text = summed(*[review(solves, every=1) for _ in range(sessions)])
    assert ("there is little to gain" in text) is said


@pytest.mark.parametrize(("names", "called"), [
    (["mesh_"] * 2, "mesh_"), (["solve_123456_"], "solve_123456_"), (["", ""], "(no prefix)"),
    (["solve_123456_", "solve_654321_", "solve_654321_"], "solve_#_"),
])  # fmt: skip
def test_solvers_are_called_by_what_their_names_have_in_common(names, called):
    assert f"summary of {called}: " in summed(*[review(2, name=name) for name in names])


def test_what_is_kept_of_sessions_that_have_ended_does_not_grow(monkeypatch):
    monkeypatch.setattr(total, "RECORDS", 50)
    found = Total(SETTINGS, False)
    for _ in range(100):
        one = review(3)
        found.begin(one)
        found.end(one)
        found.end(one)  # once is enough
    assert len(found._omegas) == 50 and not found._open
    assert "300 solves" in found.summary()
