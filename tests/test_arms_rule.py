"""Which arm solves next: the rule against each arm alone, on tables of what arms cost; no PETSc."""

from __future__ import annotations

import json
from typing import Callable, NamedTuple

import numpy as np
import pytest

from sorlearn.errors import StateError
from sorlearn.learners import NO_CONTEXT, Context, MatrixFeatures
from sorlearn.records.checkpoint import _plain
from sorlearn.tuning.alone import Alone
from sorlearn.tuning.arm import basis
from sorlearn.tuning.arms import CUT, LONGEST, Rule
from sorlearn.tuning.budget import ADVANCE, STAYING
from sorlearn.tuning.expected import Expected
from sorlearn.tuning.play import Play, Played
from sorlearn.tuning.regression import Regression

SOLVES = 600
KINDS = ["sor", "icc", "gamg", "cholesky"]
EACH = np.array([1.0, 1.2, 6.0, 5.0]) * 1e-4  # seconds an iteration
SET_UP = np.array([0.0, 1.2e-3, 30e-3, 15e-3])
AGES = np.array([1, 10, 20, 5])  # solves with one set-up


def drift(solve):
    """log10 of the dominance: there and back."""
    return -2.0 + 2.0 * np.cos(2 * np.pi * solve / SOLVES)


class World(NamedTuple):
    """Iterations of all arms by log10 of the dominance; whether matrices change; highest ratios."""

    iterations: Callable[[float], list[float]]
    over_best: float
    over_safe: float
    changing: bool = True


WORLDS = {
    "the safe arm is best": World(lambda d: [20, 60, 15, 4], 1.05, 1.05),
    "another one is": World(lambda d: [100, 30, 15, 8], 1.06, 0.6),
    "one that is dear to set up is, and the matrix stays": World(lambda d: [200, 90, 12, 1], 1.9, 0.1, False),
    "all others are far worse": World(lambda d: [10, 5000, 900, 500], 1.06, 1.06),
    "they change places with the matrix": World(lambda d: [10 * 10 ** (-d / 3), 4 * 10 ** (-d / 4), 12, 9], 1.05, 0.7),
    "one is a little better at first, another by far where all get dear": World(
        lambda d: [4 * 10 ** (-d / 2.5), 3 * 10 ** (-d / 2.5), 60, 4 + 0 * d], 1.1, 0.6),
    "nobody is better": World(lambda d: [50, 41, 9, 10], 1.1, 1.1),
}  # fmt: skip


def context(dominance, novelty=0.0):
    return Context(MatrixFeatures(1.0 - 10**dominance, 1.0 - 10**dominance, digits=8.0, novelty=novelty))


class Run:
    """Solves of a world by the rule; `totals` are those of all, then those of each arm alone."""

    def __init__(self, world, rule=None, noise=0.0, seed=0, solves=SOLVES, factorising=lambda: 0.0):
        self.rule = rule or Rule(KINDS, 0.04)
        self.totals, self.plays, self.world = [], [], world
        self._rng, self._noise = np.random.default_rng(seed), noise
        self._age = np.zeros(len(KINDS), int)
        self.alone = np.zeros((solves, len(KINDS)))
        left = 0
        for solve in range(solves):
            dominance = drift(solve)
            its = np.round(world.iterations(dominance))
            first = solve == 0
            sets_up = (solve % AGES == 0) if world.changing else np.full(len(KINDS), first)
            self.alone[solve] = (its + 1) * EACH + sets_up * SET_UP
            decided = left == 0
            if decided:
                novelty = 0.0 if world.changing or first else 8.0
                play = self.rule.choose(context(dominance, novelty), factorising)
                left = int(play.repeats)
            else:
                left -= 1
            self.totals.append(self._solve(play, its, decided))
            self.plays.append(play)
        self.total = np.cumsum(self.totals)

    def _solve(self, play, its, decided):
        i = int(play.arm)
        age = self._age[i]
        due = SET_UP[i] > 0.0 and (age >= AGES[i] if self.world.changing else not age)
        due = due or (age == 0 and SET_UP[i] > 0.0)
        self._age[i] = 1 if due else age + 1
        cut = bool(play.limit) and its[i] > play.limit
        count = min(its[i], play.limit) if play.limit else its[i]
        clock = 1.0 + self._noise * self._rng.random()
        rest = (its[int(play.heir)] + 1) * EACH[int(play.heir)] if cut else 0.0
        played = Played(int(count), (count + 1) * EACH[i] * clock, int(due), due * SET_UP[i], rest, cut)
        self.rule.note(played, 2e-5 if decided else None)
        return played.total


@pytest.mark.parametrize("noise", [0.0, 0.5], ids=["good clocks", "bad clocks"])
@pytest.mark.parametrize("name", WORLDS)
def test_total_over_each_arm_alone(name, noise):
    world = WORLDS[name]
    run = Run(world, noise=noise)
    alone = run.alone.sum(axis=0)
    fair = 1.0 + 0.5 * noise
    assert run.total[-1] <= fair * world.over_best * alone.min(), run.total[-1] / alone / fair
    assert run.total[-1] <= fair * world.over_safe * alone[0], run.total[-1] / alone / fair


@pytest.mark.parametrize("name", WORLDS)
def test_never_much_above_the_safe_arm_after_30_solves(name):
    run = Run(WORLDS[name])
    assert (run.total / np.cumsum(run.alone[:, 0]))[29:].max() <= 1.10


@pytest.mark.parametrize("name", WORLDS)
def test_trials_cost_no_more_than_their_share(name):
    run = Run(WORLDS[name])
    trials = np.array([bool(play.trial) for play in run.plays])
    heirs = np.array([int(play.heir) for play in run.plays])
    beyond = np.array(run.totals) - run.alone[np.arange(SOLVES), heirs]
    assert not trials[0]
    advance = ADVANCE if WORLDS[name].changing else STAYING
    assert beyond[trials].sum() <= 0.04 * run.total[-1] + (advance + 0.5) * run.totals[0]


def test_the_first_solve_is_the_safe_arm_s():
    assert Rule(KINDS, 0.04).choose(context(-1.0)).arm == 0


def test_trials_come_cheapest_first_and_are_cut_off_at_a_multiple_of_the_incumbent():
    run = Run(WORLDS["all others are far worse"])
    trials = [play for play in run.plays if play.trial]
    assert trials[0].arm == 1
    its = run.world.iterations(0.0)[0]
    assert CUT * its * EACH[0] / EACH[1] * 0.5 <= trials[0].limit <= CUT * (its + 1) * EACH[0] / EACH[1] + 1


@pytest.mark.parametrize(("factorising", "solves"), [(0.2, 50), (0.6, 3000)])
def test_where_the_matrix_stays_a_set_up_that_takes_long_is_tried_and_then_used(monkeypatch, factorising, solves):
    monkeypatch.setitem(globals(), "SET_UP", np.array([0.0, 1.2e-3, 30e-3, factorising]))
    world = World(lambda d: [1500, 200, 30, 8], 2.0, 0.3, changing=False)
    arms = [int(play.arm) for play in Run(world, solves=solves, factorising=lambda: factorising).plays]
    first = arms.index(3)
    assert first < 1000 and arms[first:].count(2) == 0


def test_without_a_share_nothing_is_tried_beyond_the_advance():
    few = sum(play.trial for play in Run(WORLDS["nobody is better"], Rule(KINDS, 0.0)).plays)
    many = sum(play.trial for play in Run(WORLDS["nobody is better"], Rule(KINDS, 1.0)).plays)
    assert few < many


def test_what_was_cut_off_is_censored_not_failed():
    rule = Rule(KINDS, 0.04)
    for _ in range(2):
        rule.choose(context(-1.0))
        rule.note(Played(100, 1e-2), 1e-5)
    play = rule.choose(context(-1.0))
    assert play.trial and play.arm == 1
    before = rule._expected[1].log_iterations
    rule.note(Played(int(play.limit), 1e-2, cut=True, rest=1e-2), 1e-5)
    assert rule._expect()[1].log_iterations > max(before, np.log(play.limit))
    assert rule.arms[1].wait == 0


def test_an_arm_that_fails_waits_longer_and_longer():
    rule, tried = Rule(KINDS[:2], 1.0), []
    for solve in range(400):
        play = rule.choose(context(-1.0))
        tried += [solve] * (play.arm == 1)
        failed = play.arm == 1
        rule.note(Played(3 if failed else 100, 1e-3 if failed else 1e-2, failed=failed, rest=1e-2 * failed), 1e-5)
    assert 3 <= len(tried) <= 12
    assert all(np.diff(tried)[1:] >= np.diff(tried)[:-1])


def test_solves_that_fail_count_as_time_that_passes():
    """What an arm has set up is of no use after a failure, or after enough solves of others, failed ones among them."""
    rule = Rule(KINDS, 0.04)
    for failed in [False, False, True]:
        play = rule.choose(context(-1.0))
        rule.note(Played(50, 5e-3, failed=failed), 1e-5)
    assert int(play.arm) == 0 and rule.arms[0].until == 0
    assert all(arm.until == 0 for arm in rule.arms[1:])


def test_an_arm_that_is_left_out_is_never_played():
    rule = Rule(KINDS, 1.0)
    rule.leave_out(1)
    assert {play.arm for play in Run(WORLDS["another one is"], rule).plays} == {0, 2, 3}
    assert np.all(np.isinf(rule.total[:, 1]))  # nor is it recommended


def test_a_factorisation_that_would_take_too_long_isn_t_begun():
    asked = []
    world = WORLDS["one that is dear to set up is, and the matrix stays"]
    run = Run(world, factorising=lambda: asked.append(1) or 30.0)
    assert asked == [1] and not any(play.arm == 3 for play in run.plays)


def test_the_safe_arm_is_never_cut_off():
    trials = [play for world in WORLDS.values() for play in Run(world).plays if play.trial and play.arm == 0.0]
    assert trials and not any(play.limit for play in trials)


def test_answers_that_lack_digits_tighten_their_arm_s_tolerance():
    rule = Rule(KINDS[:2], 0.04)
    lacked, tight = 0.4, []
    for _ in range(200):
        play = rule.choose(context(-1.0))
        tight.append(play.tighten)
        short = lacked - play.tighten if play.arm == 1 else None
        rule.note(Played(10 if play.arm else 100, 1e-3 if play.arm else 1e-2, lacks=short), 1e-5)
        assert rule.arms[0].tighten == 0.0
    assert max(tight) >= lacked and min(tight[-50:]) >= lacked - 0.05


def test_tightening_does_not_pile_up_in_solves_that_repeat_a_decision():
    """They are solved to what was decided, whatever the solves between have taught since."""
    rule, lacked, tight = Rule(KINDS[:2], 0.04), 0.4, []
    for _ in range(60):
        play = rule.choose(context(-1.0))
        for repeat in range(30):
            tight.append(rule.arms[1].tighten)
            short = lacked - play.tighten if play.arm == 1 else None
            played = Played(10 if play.arm else 100, 1e-3 if play.arm else 1e-2, lacks=short)
            rule.note(played, None if repeat else 1e-5)
    assert lacked <= max(tight) <= lacked + 0.25


def test_decisions_are_rationed():
    run = Run(WORLDS["the safe arm is best"])
    repeats = [play.repeats for play in run.plays]
    assert 0 < max(repeats) <= LONGEST
    assert all(play.repeats == 0 for play in run.plays if play.trial or play.limit)
    slow = Rule(KINDS, 0.04)
    for _ in range(20):
        play = slow.choose(context(-1.0))
        slow.note(Played(100, 1.0), 2e-5)
    assert play.repeats == 0


@pytest.mark.parametrize("own", [1e-5, 3e-5, 9e-5])
def test_where_solves_are_short_deciding_costs_one_solve_at_once_and_a_share(own):
    rule, solve, left, decisions, trials = Rule(KINDS, 0.04), 3e-4, 0, 0, 0
    for count in range(1, 301):
        decided = not left
        if decided:
            play = rule.choose(context(-0.2))
            left = int(play.repeats) + 1
            decisions, trials = decisions + 1, trials + bool(play.trial)
        left -= 1
        rule.note(Played(2, solve), own if decided else None)
        allowed = (1.0 + 0.005 * count) * solve + 2.0 * own  # the first decision, and the one under way
        assert (decisions - 2 * trials) * own <= allowed
        assert 2 * trials * own <= (ADVANCE + 0.04 * count) * solve
    assert decisions >= 4 and max(play.repeats, 1) <= LONGEST


def test_solves_that_repeat_a_decision_count_between_the_contexts_of_two():
    """What gets stiffer meanwhile says little of the matrix that the decision was made for, or of one after a jump."""

    def its(dominance):
        return int(10 * 10 ** (-dominance / 2))

    rule = Rule(KINDS[:1], 0.0)
    for dominance in 2 * [-1.0, -1.5, -2.0, -2.5, -3.0]:
        rule.choose(context(dominance))
        rule.note(Played(its(dominance), 1e-2), 1e-5)
        for step in np.linspace(0.0, -0.5, 20):
            rule.note(Played(its(dominance + step), 1e-2), None)
    for dominance in (-1.0, -2.0, -3.0):
        rule.choose(context(dominance))
        assert rule._expected[0].log_iterations == pytest.approx(np.log(its(dominance) + 1), abs=0.1)


def test_the_two_forms_of_sor_know_of_each_other_s_iterations():
    rule = Rule(["sor", "eisenstat", "icc"], 0.04)
    for _ in range(9):
        rule._play = Play(1)
        rule.note(Played(50, 1e-2), 1e-5)
        rule.choose(context(-1.0))
    known = [expected.log_iterations for expected in rule._expected]
    assert known[0] == known[1] == pytest.approx(np.log(51), abs=0.1) and known[2] != known[1]
    other = Rule(["icc", "eisenstat"], 0.04)
    assert other.arms[0].iterations is not other.arms[1].iterations


def test_where_the_safe_arm_is_in_unknown_country_it_is_asked_again():
    rule = Rule(KINDS[:1], 0.04)
    for _ in range(12):
        rule.choose(context(-0.1))
        rule.note(Played(3, 1e-4), 1e-4)
    assert rule.choose(context(-0.1)).repeats > 0
    assert rule.choose(context(-3.0)).repeats == 0


def test_where_nothing_is_known_of_the_matrix_it_still_learns():
    rule = Rule(KINDS[:2], 0.04)
    played = []
    for _ in range(100):
        play = rule.choose(NO_CONTEXT)
        played.append(play.arm)
        rule.note(Played(10 if play.arm else 100, 1e-3 if play.arm else 1e-2), 1e-5)
    assert np.mean(played[20:]) > 0.9


def test_what_is_saved_goes_on_as_if_nothing_had_happened():
    one = Run(WORLDS["they change places with the matrix"], solves=200).rule
    saved = json.loads(json.dumps(one.state(), default=_plain))
    other = Rule(KINDS, 0.04)
    other.take_over(saved)
    for dominance in (-0.5, -2.0, -3.5):
        assert one.choose(context(dominance)).arm == other.choose(context(dominance)).arm
        ours, theirs = ([expected.log_iterations for expected in rule._expected] for rule in (one, other))
        assert np.allclose(ours, theirs)


@pytest.mark.parametrize("spoil", ["kinds", "arms", "short", "nan"])
def test_a_state_that_isn_t_its_own_is_refused_and_changes_nothing(spoil):
    state = json.loads(json.dumps(Run(WORLDS["another one is"], solves=60).rule.state(), default=_plain))
    if spoil == "kinds":
        state["kinds"] = ["sor"]
    elif spoil == "arms":
        del state["arms"]
    elif spoil == "short":
        state["arms"].pop()
    else:
        state["arms"][1]["iterations"]["mean"][0] = float("nan")
    rule = Rule(KINDS, 0.04)
    before = json.dumps(rule.state(), default=_plain)
    with pytest.raises(StateError):
        rule.take_over(state)
    assert json.dumps(rule.state(), default=_plain) == before


def test_what_each_arm_alone_would_have_taken_is_bounded():
    run = Run(WORLDS["another one is"])
    run.rule.choose(context(-1.0))
    least, expected, most = run.rule.total
    assert np.all(least <= expected) and np.all(expected <= most)
    assert expected[1] == pytest.approx(run.alone[:, 1].sum(), rel=0.15)


@pytest.mark.parametrize("slower", [1.0, 5.0])
@pytest.mark.parametrize("set_up", [0.0, 2e-2])
def test_what_has_solved_alone_is_said_to_take_what_it_took(slower, set_up):
    """Also where a machine is often slower than the clocks that are believed."""
    rule, took = Rule(KINDS[:1], 0.0), 0.0
    for solve in range(100):
        assert rule.choose(context(-1.0)).arm == 0
        seconds = 1e-2 * (slower if solve % 3 else 1.0)
        took += seconds + slower * set_up
        rule.note(Played(10, seconds, 1, slower * set_up), 1e-5)
    rule.settle()
    assert rule.total[:, 0] == pytest.approx(took, rel=0.02)


@pytest.mark.parametrize(("solves", "cold"), [(300, 3.0), (600, 3.0), (2000, 3.0), (600, 1.0)])
def test_what_is_learned_late_of_an_arm_counts_for_the_solves_before(solves, cold):
    """A factorisation is dear to try, and slow where it is applied for the first time."""
    rule, its, each = Rule(["sor", "icc", "cholesky"], 0.04), [13, 8, 1], np.array([4e-4, 6e-4, 1.1e-3])
    set_up, used, left = np.array([0.0, 4e-3, 25e-3]), [0, 0, 0], 0
    for solve in range(solves):
        decided = left == 0
        if decided:
            play = rule.choose(context(-2.0, 8.0 if solve else 0.0), lambda: 0.01)
        left = int(play.repeats) if decided else left - 1
        i, limit = int(play.arm), int(play.limit)
        first, used[i] = not used[i], used[i] + 1
        cut = 0 < limit < its[i]
        count = limit if cut else its[i]
        rest = (its[int(play.heir)] + 1) * each[int(play.heir)] * cut
        seconds = (count + 1) * each[i] * (cold if first else 1.0)
        rule.note(Played(count, seconds, int(first and i > 0), first * set_up[i], rest, cut), 3e-4 if decided else None)
    assert used[2] and min(used[:2]) > 1
    least, expected, most = rule.total
    alone = solves * (np.array(its) + 1) * each + set_up
    assert expected == pytest.approx(alone, rel=0.05)
    assert np.all(least <= 1.001 * alone) and np.all(alone <= 1.001 * most)


@pytest.mark.parametrize(("renews", "share"), [(False, 1.0), (True, 10.0)])
def test_an_arm_that_cannot_keep_its_set_up_is_expected_to_make_it_for_each_matrix(renews, share):
    """Even where it takes ten times as long as the solve."""
    rule = Rule(["sor", "cholesky"], 1.0)
    for played in [Played(99, 1e-2)] * 10 + [Played(1, 1e-3, 1, 3.4e-2, renews=renews)]:
        rule.choose(context(-2.0), lambda: 0.01)
        rule._play = Play(float(played.set_ups))
        rule.note(played, 1e-5)
    rule.choose(context(-2.0))
    expected = rule._expected[1]
    assert expected.share == pytest.approx(share * expected.solving, rel=0.05)


def test_contexts_are_kept_apart_in_constant_memory():
    solved, prices = Alone(2), np.array([1.0, 10.0])

    def expect(phi, changing):
        found = Expected(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        return [found._replace(solving=price * (1.0 - phi[1]), share=changing) for price in prices]

    for step in range(1000):
        phi = basis(context(-5.0 * step / 1000))
        solved.solved(phi, 0.5, 0, 1, 1.0 - phi[1], 0.0, None)
    least, expected, most = solved.seconds(expect)
    took = sum(1.0 + 2.5 * step / 1000 for step in range(1000))
    assert expected == pytest.approx([took, 10.0 * took + 500.0], rel=0.01)
    assert len(solved._contexts) <= 21


def test_memory_stays_flat():
    def size(rule):
        return len(json.dumps([np.shape(value) for value in rule.state().values()], default=_plain))

    assert size(Run(WORLDS["nobody is better"], solves=50).rule) == size(Run(WORLDS["nobody is better"]).rule)


def test_regression_is_least_squares_with_a_prior():
    rng = np.random.default_rng(0)
    phi, noise, spread = rng.standard_normal((40, 3)), 0.3, np.array([1.0, 2.0, 0.5])
    y = phi @ [1.0, -2.0, 0.5] + noise * rng.standard_normal(40)
    regression = Regression(spread)
    for row, value in zip(phi, y):
        regression.update(row, float(value), noise)
    precision = np.diag(spread**-2) + phi.T @ phi / noise**2
    assert np.allclose(regression.mean, np.linalg.solve(precision, phi.T @ y / noise**2))
    assert regression.predict(phi[0])[1] == pytest.approx(np.sqrt(phi[0] @ np.linalg.solve(precision, phi[0])))
    regression.forget(1.0)
    assert np.allclose(regression.covariance, np.diag(spread**2))
