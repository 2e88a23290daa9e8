"""One tuned sequence of solves without PETSc: what is decided, what the learner hears, and what is written down."""

from __future__ import annotations

import json
from math import inf, nan
from typing import NamedTuple

import pytest

from sorlearn.errors import StateError
from sorlearn.learners import NO_CONTEXT, Choice, Context, Learner, MatrixFeatures
from sorlearn.options import Settings
from sorlearn.records.checkpoint import _plain
from sorlearn.tuning.baseline import FIRST_TIMES, TIMES
from sorlearn.tuning.record import Outcome, Solve, Verdict
from sorlearn.tuning.repeat import IDLE
from sorlearn.tuning.session import Session
from sorlearn.tuning.total import Total

MATRIX = Context(MatrixFeatures(0.9, 0.5, 0.0, 5.0))
GOOD, NONZEROS = Solve(Outcome(10, 2)), 1000


class Line(NamedTuple):
    """A course on which ω rises by a tenth of what ρ does."""

    omega: float
    rho: float

    def at(self, rho):
        return self.omega + 0.1 * (rho - self.rho)


class Scripted(Learner):
    """Wants what it is told to, and writes down what it hears."""

    name = "scripted"
    repeatable = True
    _remembered = ("wanted",)

    def __init__(self, wanted=1.5):
        super().__init__()
        self.wanted, self.heard = wanted, []

    def _choose(self, context):
        return Choice(self.wanted, propensity=0.25, context=context)

    def _update(self, choice, loss):
        self.heard.append((choice.omega, loss))

    def course(self, omega, context):
        return Line(omega, context.matrix.rho) if context.matrix else None


def tuned(wanted=1.5, say=pytest.fail, **settings):
    session = Session("a_", "a_", Settings(**settings), say, Scripted(wanted))
    session.baseline.due = lambda: False
    return session


def summary_of(session):
    alone = Total(session.settings, False)
    alone.begin(session.review)
    return alone.summary()


def play(session, solve=GOOD, *, context=NO_CONTEXT, measured=False, nonzeros=0):
    decision = session.decide(context, measured, nonzeros)
    session.charge(solve)
    return decision


def failed(iterations=20, worked=1.0):
    reason = 2 if worked else -3
    return Solve(Outcome(iterations, reason, rescued=worked > 0.0, failed=True, worked=worked, alone=iterations))


def measured(relative, lacks=-0.1, true=None):
    return Solve(Outcome(10, 2, verdict=Verdict(lacks, relative, relative, relative if true is None else true)))


def test_what_the_learner_wants_is_played_and_it_hears_what_that_cost():
    session = tuned()
    decision = play(session)
    assert (decision.omega, decision.fallback, decision.check, decision.tighten) == (1.5, 1.0, 0.0, 0.0)
    assert session.learner.heard == [(1.5, 11 / 8)]


@pytest.mark.parametrize(("cost", "solve", "loss"), [
    ("work", Solve(Outcome(15, 2), asked=4.0), 4.0),
    ("work", Solve(Outcome(15, 2), before=1.0, after=1e-8, target=1e-8), 2.0),
    ("work", Solve(Outcome(15, 2, rescued=True), before=1.0, after=1e-2, target=1e-2), 2.0),  # another ω took part
    ("iterations", GOOD, 10.0),
    ("time", Solve(Outcome(15, 2), seconds=0.25), 0.25),
    ("flops", Solve(Outcome(15, 2), flops=4e6), 4.0),
])  # fmt: skip
def test_the_cost_that_was_asked_for_is_charged(cost, solve, loss):
    session = tuned(cost=cost)
    play(session, solve)
    assert session.learner.heard == [(1.5, pytest.approx(loss))]
    assert session.log.records[-1].cost == pytest.approx(loss)


@pytest.mark.parametrize(("iterations", "reason"), [(0, 3), (4, 5), (4, 6), (4, 4)])
def test_solves_that_say_nothing_of_omega_teach_nothing(iterations, reason):
    """Converged on entry, a trust region's end, a fixed number of iterations: written down all the same."""
    session = tuned()
    play(session, Solve(Outcome(iterations, reason)))
    assert session.learner.heard == []
    assert session.log.records[-1].reason == reason


def test_a_cost_that_is_no_number_is_refused():
    session = tuned(cost="time")
    session.decide(NO_CONTEXT, False, 0)
    with pytest.raises(ValueError, match="omega = 1.5"):
        session.charge(Solve(Outcome(3, 2), seconds=nan))


def test_a_failed_omega_is_charged_and_left_alone():
    session = tuned(wanted=1.9)
    play(session, failed(30))
    decision = play(session)
    assert decision.omega == 1.0
    assert [loss for _, loss in session.learner.heard] == [31 / 8, 31 / 8]
    assert session.review.tally.failed == session.review.tally.repaired == 1


def test_where_nothing_helps_the_learner_is_not_asked_for_a_while():
    session = tuned(wanted=1.9)
    play(session, failed(worked=0.0))
    heard = len(session.learner.heard)
    assert play(session).omega == 1.0
    assert len(session.learner.heard) == heard


def test_where_the_safe_omega_fails_what_worked_is_fallen_back_to():
    session = tuned(wanted=1.6)
    play(session)
    session.learner.wanted = 1.0
    play(session, failed(worked=1.6))
    session.learner.wanted = 1.3
    assert play(session).fallback == pytest.approx(1.6, abs=0.03)


@pytest.mark.parametrize(("norm_measured", "tightens"), [(True, True), (False, False)])
def test_answers_are_measured_and_tolerances_tightened_where_tests_differ(norm_measured, tightens):
    session = tuned()
    first = play(session, measured(0.4), measured=norm_measured)
    second = session.decide(NO_CONTEXT, norm_measured, 0)
    assert first.check == norm_measured and first.tighten == 0.0
    assert second.check == norm_measured  # what a single measurement may be off by isn't known yet
    assert (second.tighten, second.tighten_atol) == (pytest.approx((0.4, 0.4)) if tightens else (0.0, 0.0))


def test_an_omega_whose_test_says_nothing_is_dropped():
    session = tuned(wanted=1.9)
    play(session, measured(2.5), measured=True)
    assert play(session, measured=True).omega == 1.0


def test_a_fixed_omega_is_not_measured():
    session = Session("a_", "a_", Settings(learner="fixed", omega=1.4), pytest.fail)
    assert all(play(session, measured=True).check == 0.0 for _ in range(200))


def settled(**settings):
    """A session that lets decisions be repeated, just after deciding."""
    session = tuned(**settings)
    while not session.repeats.left:
        play(session, context=MATRIX, nonzeros=NONZEROS)
    return session


def test_a_repeated_decision_is_charged_to_nobody_but_counted():
    session = settled()
    heard, solves, left = len(session.learner.heard), session.books.solves, session.repeats.left
    assert session.repeated(GOOD) == left - 1
    assert len(session.learner.heard) == heard
    assert session.books.solves == session.review.tally.solves == solves + 1


@pytest.mark.parametrize("strict", [False, True])
def test_where_there_is_nothing_to_solve_nothing_is_learned_charged_or_saved(strict):
    """As with right-hand sides of zero: any ω takes no iteration there."""
    session = Session("a_", "a_", Settings(), pytest.fail, Scripted(1.5), guarded=strict)
    for _ in range(40):
        play(session, Solve(Outcome(0, 3)), context=MATRIX, nonzeros=NONZEROS)
        session.decide(MATRIX, False, NONZEROS)
        iterations = 10 if session.standing.decision.omega == 1.5 else 20
        session.charge(Solve(Outcome(iterations, 2)))
    session.books.settle(session.standing.decision)
    assert session.review.tally.solves == session.books.solves == 80 and len(session.log.records) == 80
    assert session.baseline.solves == 40 and session.baseline.level == pytest.approx(21.0)
    assert session.baseline.estimate == pytest.approx(840, rel=0.1)
    if strict:  # else a learner without a model knows nothing of what it saved
        share, error = session.review.comparison.savings()
        assert abs(share - (1.0 - session.review.tally.iterations / 800)) < max(2 * error, 0.05)


def test_an_idle_solve_leaves_the_repeats_as_they_are():
    session = settled()
    left, standing = session.repeats.left, session.standing.decision
    assert session.repeated(Solve(Outcome(0, 3))) == left and session.standing.decision == standing
    assert session.repeated(GOOD) == left - 1


def test_where_there_is_never_anything_to_solve_decisions_are_repeated():
    session, idle = tuned(), Solve(Outcome(0, 3))
    for _ in range(IDLE + 1):
        assert not session.repeats.left
        play(session, idle, context=MATRIX, nonzeros=NONZEROS)
    assert session.repeats.left > IDLE and session.learner.heard == []
    assert session.repeated(GOOD) == 0
    play(session, context=MATRIX, nonzeros=NONZEROS)
    assert len(session.learner.heard) == 1 and not session.repeats.left


def test_an_unlike_solve_ends_the_repeats():
    session = settled()
    assert session.repeated(Solve(Outcome(40, 2))) == 0


def test_what_the_safe_omega_had_a_part_in_is_not_repeated():
    """A trial that was cut off may have taken as many iterations as the last, which wasn't."""
    session = settled()
    session.decide(MATRIX, False, NONZEROS, True)
    assert session.repeats.left > 0
    assert session.charge(GOOD._replace(outcome=GOOD.outcome._replace(rescued=True))) == 0
    session = settled()
    assert session.repeated(GOOD._replace(outcome=GOOD.outcome._replace(rescued=True))) == 0


@pytest.mark.parametrize("hopeless", [1, 4, 9])
def test_systems_that_nothing_solves_leave_the_guarded_solvers_account_right(hopeless):
    """The solves after one are played at the safe ω, and seen: what the failures have cost says nothing of them."""
    off = []
    for seed in range(10):
        session = Session("a_", "a_", Settings(seed=seed), pytest.fail, Scripted(), guarded=True)
        safe, left = 0, hopeless
        for solve in range(4000):
            session.learner.wanted = (1.3, 1.5, 1.7)[solve % 3]
            bad = solve > 2000 and left and not session.vetoes.wait
            omega = session.decide(NO_CONTEXT, False, 0).omega
            if bad:
                left -= 1
                session.charge(Solve(Outcome(300 if omega == 1.0 else 600, -3, failed=True, alone=300)))
            else:
                session.charge(Solve(Outcome(20 if omega == 1.0 else 25, 2)))
            safe += 301 if bad else 21
        off.append(session.baseline.estimate / safe - 1.0)
    assert abs(sum(off) / 10) < 0.02


def test_repeats_of_the_guarded_solver_end_where_an_audit_is_due():
    session = Session("a_", "a_", Settings(), pytest.fail, Scripted(), guarded=True)
    repeated = audits = 0
    for _ in range(300):
        audits += session.decide(MATRIX, False, NONZEROS, True).omega == 1.0
        left = session.charge(Solve(Outcome(20 if session.standing.decision.omega == 1.0 else 10, 2)))
        for _ in range(left):
            session.repeated(GOOD)
        repeated += left
    assert session.baseline.audits == audits < 0.1 * session.books.solves
    assert session.books.solves == 300 + repeated


def test_the_omega_of_a_repeat_follows_the_matrix():
    session = settled()
    assert session.standing.follow(0.9).omega == 1.5
    assert session.standing.follow(0.95).omega == pytest.approx(1.505)
    assert session.standing.follow(0.9).omega == pytest.approx(1.5)


def test_where_omega_cannot_follow_the_decision_ends_when_patience_does():
    session = settled()
    session.learner.course = lambda *_: None
    session.repeats.left = session.repeats.patience + 1
    assert session.standing.follow(0.5).omega == 1.5
    session.repeats.left = session.repeats.patience
    assert session.standing.follow(0.5) is None and session.standing.follow(None) is None


def test_a_repeat_that_is_unlike_is_looked_at_where_tests_differ():
    session = tuned()
    decision = play(session, measured(0.1), measured=True)
    assert (decision.least, decision.most) == (0.0, inf)
    session.repeats.left = 5
    decision = session.standing.follow(0.0)
    assert 0 < decision.least < 10 < decision.most < 20


@pytest.mark.parametrize("skew", [0.0, 0.5])
def test_solves_that_repeat_a_decision_are_told_whether_the_matrix_is_symmetric(skew):
    """One that isn't may turn the test of an ω lenient."""
    session, context = tuned(), Context(MatrixFeatures(0.9, 0.9, skew, 8.0))
    decisions = [play(session, measured(0.0), context=context, measured=True, nonzeros=10)
                 for _ in range(200)]  # fmt: skip
    assert max(decision.repeats for decision in decisions) > 0
    assert {decision.skewed for decision in decisions} == {float(skew > 0.0)}


def test_every_solve_is_written_down_where_somebody_looks_and_decided_ones_anyway():
    for settings, written in (({}, [False]), ({"monitor": True}, [False, True, True])):
        said = []
        session = settled(say=said.append, **settings)
        before = len(session.log.records) - 1
        session.repeated(GOOD)
        session.repeated(GOOD)
        records = list(session.log.records)[before:]
        assert [record.held for record in records] == written
        assert [record.solve for record in records] == list(range(before + 1, before + 1 + len(written)))
        assert len(said) == len(session.log.records) * bool(settings)


def test_a_record_says_what_was_known_and_done():
    session = tuned()
    play(session, Solve(Outcome(9, 3, rescued=True), 4.0, inf, seconds=0.5), context=MATRIX)
    record = session.log.records[-1]
    assert record[:4] == (1, 1.5, 9, 3)
    assert (record.context, record.propensity, record.rescued, record.held) == (MATRIX, 0.25, True, False)
    assert (record.residual_before, record.residual_after, record.seconds) == (4.0, None, 0.5)


def test_faster_kernels_are_priced_only_where_there_are_any():
    one, other = tuned(), tuned()
    play(one, GOOD._replace(inodes=True))
    play(other)
    assert one.learner.heard[0][1] == pytest.approx(1.1 * other.learner.heard[0][1])
    assert any("inodes" in sentence for sentence in one.review.reasons())
    assert not any("inodes" in sentence for sentence in other.review.reasons())


def saved(session):
    return json.loads(json.dumps(session.state(), default=_plain))


@pytest.mark.parametrize("solves", [1, 60, 130])
def test_a_restored_session_goes_on_as_the_other(solves):
    one = Session("a_", "a_", Settings(), print)
    two = Session("a_", "a_", Settings(), print)
    for t in range(solves):
        play(one, Solve(Outcome(10 + t % 3, 2, verdict=Verdict(-0.1, 0.1, 0.2, 0.0))), context=MATRIX, measured=True)
    two.restore(saved(one))
    for t in range(40):
        decisions = [play(each, Solve(Outcome(10 + t % 4, 2)), context=MATRIX, measured=True) for each in (one, two)]
        assert decisions[0] == decisions[1]
    assert repr(saved(one)) == repr(saved(two))


@pytest.mark.parametrize("damage", [
    {"solves": "x"}, {"rho": nan}, {"pricing": {}}, {"decided": 2.5}, {"decision": [1.0]}, {"vetoes": {}},
    {"repeats": None}, {"learner": {"learner": "another"}}, {"matrix": [1.0]}, {"accuracy": {"checks": 3.0}},
])  # fmt: skip
def test_a_damaged_state_is_refused_and_the_session_unchanged(damage):
    session, other = (Session("a_", "a_", Settings(), print) for _ in range(2))
    for each in (session, other):
        play(each, measured(0.2), measured=True)
    before = saved(session)
    with pytest.raises(StateError):
        session.restore({**saved(other), **damage})
    assert repr(saved(session)) == repr(before)


def test_the_summary_counts_what_was_decided():
    session = tuned(summary=True)
    for _ in range(3):
        play(session)
    assert "learner auto, 3 solves, 30 iterations" in summary_of(session)
    assert "median of the last 3 decisions 1.500" in summary_of(session)


@pytest.mark.parametrize(("cost", "inodes", "share"), [
    ("work", False, 11.0 / 21.0), ("work", True, 13.2 / 23.2), ("flops", True, 11.0 / 21.0),
])  # fmt: skip
def test_savings_are_of_iterations_whatever_they_are_charged(cost, inodes, share):
    session = tuned(cost=cost)
    session.learner.at_safe = lambda choice, loss: 2.0 * loss  # with inodes priced at 1.1 at first
    for _ in range(20):
        play(session, Solve(Outcome(10, 2), inodes=inodes))
    assert session.review.comparison.savings()[0] == pytest.approx(share)


@pytest.mark.parametrize(("settings", "solve", "tighten", "says"), [
    ({}, GOOD._replace(inodes=True), 0.0, "(inodes)"),
    ({}, GOOD, 1.0, "ksp_norm_type unpreconditioned (cg)"),
    ({"omega": 1.5}, GOOD, 0.0, "the safe omega was mostly as good as any other"),
])  # fmt: skip
def test_the_summary_and_the_view_say_why_omega_is_what_it_is(settings, solve, tighten, says):
    session = tuned(summary=True, **settings)
    for _ in range(20):
        session.decide(NO_CONTEXT, False, 0)
        session.standing.decision = session.standing.decision._replace(tighten=tighten)
        session.charge(solve)
    (reason,) = session.review.reasons()
    assert says in reason and reason in summary_of(session)


def test_the_first_trial_gets_its_limit_by_what_the_context_foretells():
    limits = []
    for rho in (0.5, 0.999):
        session = Session("a_", "a_", Settings(), pytest.fail)
        assert session.decide(Context(MatrixFeatures(0.5, 0.5)), False, NONZEROS).limit == 0.0
        session.charge(Solve(Outcome(40, 2)))
        decision = session.decide(Context(MatrixFeatures(rho, rho)), False, NONZEROS)
        assert decision.omega != 1.0
        limits.append(decision.limit)
        before = session.baseline.dearest
        session.charge(Solve(Outcome(int(decision.limit), 2)))  # within its limit, so nothing was seen of the safe ω
        assert session.baseline.dearest == before
    assert limits[0] == pytest.approx(FIRST_TIMES * 41.0)
    assert limits[1] > TIMES * 41.0
