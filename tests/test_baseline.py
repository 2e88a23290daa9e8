"""The account of what the safe ω would have cost, by tables of costs: no PETSc."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sorlearn.tuning.baseline import (
    BLIND_SHARE,
    BLIND_TINY,
    CREDIBLE,
    FAR,
    FEW,
    FIRST_TIMES,
    HARDER,
    OFTEN_FAR,
    PAUSE,
    SHARE,
    TIMES,
    TINY,
    Baseline,
)
from sorlearn.tuning.strict import Strict

T = 3000
_t = np.arange(T)
_draw = np.random.default_rng(5)
NEVER = 10**9
#: Iterations of each solve at the safe ω, and at the learner's.
COSTS = {
    "bad": (20, 800),
    "never converging": (20, NEVER),
    "somewhat worse": (20, 26),
    "just below the cut": (20, 29),
    "one iteration": (1, 3),
    "alternating": (np.where(_t % 2, 20, 60), np.where(_t % 2, 60, 20)),
    "good, then bad": (20, np.where(_t < T // 2, 8, 28)),
    "good, then never converging": (20, np.where(_t < T // 2, 8, NEVER)),
    "flips": (20, np.where(_t // 100 % 2, 28, 8)),
    "now and then never": (20, np.where(_draw.random(T) < 0.1, NEVER, 19)),
    "systems get easier": (np.where(_t < T // 2, 60, 6), 40),
    "systems get easier slowly": (80 - 74 * _t // T, 40),
    "rarely very hard": (np.where(_t % 97, 10, 500), 14),
    "heavy tails": (np.minimum(10 + 10 * _draw.pareto(1.2, T), 5000), np.minimum(10 + 12 * _draw.pareto(1.1, T), 1e6)),
}
#: Their safe costs change so that the mean of the last audits says little of them.
CHANGING = {"alternating", "systems get easier", "systems get easier slowly", "rarely very hard", "heavy tails"}


def costs(case, solves=T):
    return tuple(np.broadcast_to(each, T).astype(int)[:solves].tolist() for each in COSTS[case])


def play(baseline, safe, trial, ratio=None, chooses_safe=lambda t: False):
    """Costs that a learner pays that never learns; a trial that is cut off pays for both.

    Parameters
    ----------
    ratio : callable, optional
        Its opinion of the cost at the safe ω over the cost of the trial, of the solve's number.
    """
    spent = []
    for t, (at_safe, at_trial) in enumerate(zip(safe, trial)):
        plays_safe = baseline.due() or chooses_safe(t)
        limit = baseline.limit() or NEVER
        cost = at_safe if plays_safe else at_trial if at_trial <= limit else limit + at_safe
        opinion = None if ratio is None else 1.0 if plays_safe else ratio(t)
        baseline.enter(cost + 1.0, safe=plays_safe, ratio=opinion, limit=limit)
        spent.append(cost + 1.0)
    return np.array(spent)


@pytest.mark.parametrize("case", sorted(set(COSTS) - CHANGING))
def test_a_learner_without_opinions_never_costs_much_more_than_the_safe_omega(case):
    safe, trial = costs(case)
    running = play(Baseline(), safe, trial).cumsum() / (np.array(safe) + 1.0).cumsum()
    assert running[200:].max() < 1.0 + 2 * BLIND_SHARE


@pytest.mark.parametrize("case", ["somewhat worse", "just below the cut", "flips"])
def test_true_opinions_keep_the_total_below_the_share(case):
    safe, trial = costs(case)
    baseline = Baseline()
    spent = play(baseline, safe, trial, lambda t: (safe[t] + 1) / (trial[t] + 1))
    running = spent.cumsum() / (np.array(safe) + 1.0).cumsum()
    assert running[20:].max() < 1.0 + SHARE + 0.02
    assert baseline.estimate == pytest.approx(sum(safe) + T, rel=1e-9)


def test_what_audits_disprove_is_doubted():
    """A learner that takes every loss of a tenth for a gain, and predicts as much for the audits."""

    class Deluded(Baseline):
        def enter(self, cost, *, safe, ratio, limit):
            super().enter(cost, safe=safe, ratio=1.2 if safe else 1.1, limit=limit)

    spent = play(Deluded(), [20] * 300, [22] * 300, lambda t: 1.1)
    assert spent.sum() < 1.03 * 21 * 300


@pytest.mark.parametrize("kept", [1, 2, 30])
def test_what_two_audits_in_a_row_disprove_is_taken_back(kept):
    """A learner that says 1.25 where it is 1: the account is as if it had never said so since an audit bore it out.

    Unless that would leave less than nothing, from which no trial would come any more.
    """
    account = Baseline()
    for _ in range(3):
        account.enter(21.0, safe=True, ratio=1.0)
    for _ in range(kept):
        account.enter(21.0, safe=False, ratio=1.25)
    account.enter(21.0, safe=True, ratio=1.0)
    borne_out = account.estimate
    for _ in range(50):
        account.enter(21.0, safe=False, ratio=1.25)
    account.enter(21.0, safe=True, ratio=1.25)
    assert account.estimate == pytest.approx(borne_out + 50 * 1.25 * 21.0 + 21.0)
    account.enter(21.0, safe=False, ratio=1.25)
    account.enter(21.0, safe=True, ratio=1.25)
    nothing = account.estimate - account._expected_margin()
    assert account.estimate == pytest.approx(max(borne_out + 53 * 21.0, nothing), rel=0.01)
    assert account.margin < 0.0 or kept == 30


def test_audits_are_rare_in_good_times_and_frequent_in_doubtful_ones():
    def audits(trial):
        baseline = Baseline()
        play(baseline, [20] * T, [trial] * T, lambda t: 21 / (trial + 1))
        return baseline.audits

    assert 2 <= audits(8) <= 0.002 * T < audits(19)


def test_one_bad_trial_is_earned_back_before_the_next():
    baseline = Baseline()
    safe, trial = [20] * 60, [36] * 60
    play(baseline, safe[:2], trial[:2], lambda t: 21 / 37)
    assert baseline.margin < 0
    spent = play(baseline, safe, trial, lambda t: 21 / 37)
    assert (spent[:15] == 21).all() and (spent == 37).any()


@pytest.mark.parametrize("kind", [Baseline, Strict])
def test_where_the_safe_omega_takes_three_iterations_it_is_always_due(kind):
    baseline = kind()
    assert (play(baseline, [TINY - 1] * 100, [TINY - 2] * 100) == TINY).all()
    assert baseline.tiny
    harder = play(baseline, [20] * 100, [8] * 100, lambda t: 21 / 9)
    assert (harder[20:] == 9).any()


@pytest.mark.parametrize(("safe", "plays"), [(BLIND_TINY - 1, False), (BLIND_TINY + 1, True)])
def test_a_learner_that_predicts_nothing_needs_more_than_that(safe, plays):
    costs = play(Baseline(), [safe] * 100, [safe - 1] * 100)
    assert (costs < safe + 1).any() == plays


def test_what_gained_before_goes_on_where_systems_become_tiny():
    baseline = Baseline()
    play(baseline, [20] * 200, [8] * 200, lambda t: 21 / 9)
    assert (play(baseline, [3] * 100, [2] * 100, lambda t: 4 / 3) == 3).mean() > 0.8


def test_predictions_that_no_audit_supports_grant_nothing():
    baseline = Baseline()
    play(baseline, [20] * 2, [20] * 2, lambda t: 1.0)
    before = baseline.margin
    baseline.due()
    baseline.enter(21.0, safe=False, ratio=1e6)
    assert baseline.margin < before + 2 * 21.0


def test_what_the_learner_plays_safe_itself_bears_out_nothing():
    """It does so where systems are easy."""
    account = Baseline()
    play(account, [20] * 40, [12] * 40, lambda t: 21 / 13)
    before = account.audits, account.evidence, account.since, account.told
    estimate = account.estimate
    account.due()
    account.enter(3.0, safe=True, ratio=1.0)
    assert (account.audits, account.evidence, account.since, account.told) == before
    assert account.estimate == estimate + 3.0


@pytest.mark.parametrize("foreseen, audits", [(1.2, 2), (3.0, 3)])
def test_what_is_foreseen_far_beyond_all_audits_is_seen_once(foreseen, audits):
    """Systems become three times as hard, and the learner takes half of what the safe ω would."""
    account = Baseline()
    play(account, [20] * 2, [20] * 2, lambda t: 1.0)
    account.audits = 2
    hard = int(20 * foreseen)
    solves, ratio = OFTEN_FAR + 60, (hard + 1) / (hard // 2 + 1)
    spent = play(account, [hard] * solves, [hard // 2] * solves, lambda t: ratio)
    assert account.audits <= audits and account.highest == max(21.0, (hard + 1.0) * (foreseen > FAR))
    assert (spent == hard + 1.0).sum() == (foreseen > FAR)


def test_states_of_older_versions_go_on():
    newer = ("highest", "foreseen", "far", "told")
    account, again = Baseline(), Baseline()
    play(account, [20] * 100, [12] * 100, lambda t: 21 / 13)
    again.restore({name: value for name, value in account.state().items() if name not in newer})
    assert again.margin > 0.0 and again.highest == account.dearest


def test_a_trial_that_is_cut_off_shows_how_hard_the_systems_are():
    baseline = Baseline()
    play(baseline, [20] * 2, [20] * 2, lambda t: 1.0)
    limit = baseline.limit()
    baseline.due()
    baseline.enter(limit + 900.0, safe=False, ratio=1.0, limit=limit)
    assert baseline.limit() >= FIRST_TIMES * 900.0


def test_where_audits_have_brought_doubt_a_trial_now_and_then_dispels_it():
    """Systems that vary: the audits were of easy ones, and would show it, if there were more."""
    easy = 0.3
    baseline = Baseline()
    play(baseline, [20] * 2, [20] * 2, lambda t: 1.0)
    for cost, safe in [(13.0, False)] * 60 + [(21.0 * easy, True)] + [(13.0, False)] * 5 + [(21.0 * easy, True)]:
        baseline.must() if safe else baseline.due()
        baseline.enter(cost, safe=safe, ratio=1.0 / easy if safe else 1.6)
    assert baseline.margin < 0.0
    spent = play(baseline, [20] * 150, [12] * 150, lambda t: 21 / 13)
    assert (spent[:PAUSE - 1] == 21.0).all() and (spent[100:] == 13.0).mean() > 0.8


def test_the_first_trial_is_cut_off_earlier():
    baseline = Baseline()
    play(baseline, [20], [20], lambda t: 1.0)
    assert baseline.limit() == FIRST_TIMES * 21.0
    assert baseline.limit(lambda: 0.5) == FIRST_TIMES * 21.0
    assert baseline.limit(lambda: 1.5) == TIMES * 1.5 * 21.0  # the first one says little of a harder system
    assert baseline.limit(lambda: 50.0) == TIMES * HARDER * 21.0
    baseline.enter(21.0, safe=True, ratio=1.0)
    assert baseline.limit() == baseline.limit(lambda: 1.5) == TIMES * 21.0


def test_where_the_first_solve_took_few_iterations_a_second_shows_whether_it_stays_so():
    few = int(FEW) - 1
    assert (play(Baseline(), [few, 1, 1, 1], [few + 2] * 4, lambda t: 1.0) == [few + 1, 2, 2, 2]).all()
    assert (play(Baseline(), [few + 1, 1, 1, 1], [few + 2] * 4, lambda t: 1.0) == few + 3).any()


def test_a_trial_may_cost_more_where_the_safe_omega_is_believed_to():
    baseline = Baseline()
    play(baseline, [3] * 5, [3] * 5, lambda t: 1.0)
    limit = baseline.limit()
    for _ in range(20):  # the systems have become harder, and the safe ω hasn't been seen since
        baseline.due()
        baseline.enter(limit - 1.0, safe=False, ratio=1.8)
    assert baseline.limit() > 0.95 * CREDIBLE * limit


def test_what_the_safe_omega_did_after_a_trial_was_cut_off_is_no_loss():
    baseline = Baseline()
    play(baseline, [20] * 2, [20] * 2, lambda t: 1.0)
    limit, before = baseline.limit(), baseline.margin
    baseline.due()
    baseline.enter(limit + 900.0, safe=False, ratio=0.1, limit=limit)
    assert baseline.margin > before - limit - 1.0


# -- what it says, and what stays


def test_a_restored_account_goes_on_alike():
    first, second = Baseline(), Baseline()
    safe, trial = costs("flips", 400)
    play(first, safe, trial)
    second.restore(json.loads(json.dumps(first.state())))
    assert np.array_equal(play(first, safe, trial), play(second, safe, trial))


@pytest.mark.parametrize("damage", [{"spent": "much"}, {"level": float("nan")}, {"streak": None}])
def test_a_damaged_state_changes_nothing(damage):
    baseline = Baseline()
    play(baseline, [20] * 30, [8] * 30)
    before = baseline.state()
    with pytest.raises((KeyError, TypeError, ValueError)):
        baseline.restore({**before, **damage})
    assert baseline.state() == before


def test_the_dearer_audits_are_the_more_rarely_they_are_made():
    audits = []
    for price in (1.0, 20.0):
        baseline = Baseline()
        baseline.begin(price)
        play(baseline, [20] * 5000, [15] * 5000, lambda t: 21.0 / 16.0)
        audits.append(baseline.audits)
    assert 5 <= audits[1] < audits[0] / 2
