"""The guarded solver's account, by tables of costs, decided one by one and with decisions repeated: no PETSc."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from test_baseline import COSTS, NEVER, T, costs, play

from sorlearn.tuning.baseline import Baseline
from sorlearn.tuning.strict import CONSTANT, CUT, SELDOM, SHARE, TINY, Strict

#: Repeats that a decision is wished to have, and the relative change of a cost that ends them.
WISHED, UNLIKE = 64, 0.05


def repeating(baseline, safe, trial, chooses_safe=lambda t: False):
    """As `play`, but every trial stands for as long as may be, as long as costs are like those of its first solve."""
    spent, left, like = [], 0, 0.0
    for t, (at_safe, at_trial) in enumerate(zip(safe, trial)):
        decided = not left
        if decided:
            plays_safe, limit = baseline.due() or chooses_safe(t), baseline.limit() or NEVER
        cost = 1.0 + (at_safe if plays_safe else at_trial if at_trial <= limit else limit + at_safe)
        baseline.enter(cost, safe=plays_safe, ratio=None, limit=limit)
        spent.append(cost)
        if decided:
            like, left = cost, 0 if plays_safe else baseline.spare(WISHED if cost <= limit + 1.0 else 0)
        elif abs(cost - like) <= UNLIKE * like and cost <= limit + 1.0:
            left -= 1
        else:
            left = baseline.spare(0)
    return np.array(spent)


PLAYS = [play, repeating]


@pytest.mark.parametrize("plays", PLAYS)
@pytest.mark.parametrize("case", COSTS)
def test_it_holds_on_adversarial_costs(case, plays):
    safe, trial = costs(case)
    mean = np.mean([plays(Strict(seed=seed), safe, trial).sum() for seed in range(20)])
    assert mean <= 1.05 * (sum(safe) + T) + (CONSTANT + 2) * (safe[0] + 1)


@pytest.mark.parametrize("case", ["bad", "never converging", "somewhat worse", "systems get easier", "one iteration"])
def test_the_costs_are_adversarial(case):
    """Cutting trials off isn't enough: without audits each of these costs more than is allowed."""
    safe, trial = (np.array(each) for each in costs(case))
    limit = int(CUT * (safe[0] + 1)) + 1
    without = np.where(trial <= limit, trial, limit + safe)
    assert np.sum(without + 1) > 1.05 * np.sum(safe + 1) + (CONSTANT + 2) * (safe[0] + 1)


@pytest.mark.parametrize("ratio", [None, lambda t: 9.0, lambda t: 0.1])
def test_a_good_omega_works_whatever_the_learner_says(ratio):
    totals = [play(Strict(seed=seed), [20] * T, [8] * T, ratio).sum() for seed in range(20)]
    assert np.mean(totals) < 1.05 * 9 * T


def test_a_good_omega_works_while_decisions_are_repeated():
    totals = [repeating(Strict(seed=seed), [20] * T, [8] * T).sum() for seed in range(20)]
    assert np.mean(totals) < 1.05 * 9 * T


@pytest.mark.parametrize("wished", [64, 511])
@pytest.mark.parametrize(("good", "bad"), [(2000, 500), (4000, 700)])
def test_long_repeats_keep_the_bound_where_times_change(good, bad, wished, monkeypatch):
    """A trial that has gained a little for long, and then never converges."""
    monkeypatch.setattr(sys.modules[__name__], "WISHED", wished)
    safe, trial = [20] * (good + bad), [17] * good + [NEVER] * bad
    bound = (1.0 + SHARE) * 21 * (good + bad) + CONSTANT * 21 + CUT * 21 + 22
    totals = [repeating(Strict(seed=seed), safe, trial).sum() for seed in range(40)]
    assert np.mean(totals) - 2 * np.std(totals) / np.sqrt(40) <= bound


def test_a_solve_that_has_to_be_played_at_the_safe_omega_is_an_audit():
    account = Strict(seed=1)
    play(account, [20] * 50, [8] * 50)
    before = account.estimate
    account.begin(1.0)
    account.must()
    account.enter(500.0, safe=True, ratio=None)
    assert account.estimate == before + 500.0


@pytest.mark.parametrize("plays", PLAYS)
@pytest.mark.parametrize("case", ["somewhat worse", "good, then bad", "flips", "systems get easier", "heavy tails"])
def test_its_estimate_has_no_bias(case, plays):
    """Not even where the learner itself often plays the safe ω, which is no audit: it wasn't drawn."""
    safe, trial = costs(case)
    estimates = []
    for seed in range(60):
        account = Strict(seed=seed)
        plays(account, safe, trial, chooses_safe=lambda t: t % 3 == 0)
        estimates.append(account.estimate)
    error = np.mean(estimates) - (sum(safe) + T)
    assert abs(error) < 3 * np.std(estimates) / np.sqrt(len(estimates)) + 1.0


def test_what_was_decided_has_the_chance_that_it_says():
    """So that means over the decided solves, each over its chance, are without bias."""
    seen = []
    for seed in range(200):
        account = Strict(seed=seed)
        for _ in range(30):
            due = account.due()
            seen.append((due, account.chance))
            account.enter(21.0 if due else 9.0, safe=due, ratio=None)
    audits = [chance for due, chance in seen if due and chance < 1.0]
    assert audits and min(audits) >= SELDOM
    assert sum(1.0 / chance for due, chance in seen if due) == pytest.approx(len(seen), rel=0.05)


def test_repeats_end_where_an_audit_is_drawn_and_audits_are_as_many_as_without_repeats():
    account, audits, solves, drawn = Strict(seed=4), 0, 0, False
    play(account, [20] * 200, [8] * 200)
    while solves < 20_000:
        account.begin(1.0)
        due = account.due()
        assert due or not drawn
        audits, solves, spared, drawn = audits + due, solves + 1, 0, False
        account.enter(21.0 if due else 9.0, safe=due, ratio=None)
        if not due:
            spared = account.spare(50)
            drawn = spared < 50
        if spared:
            solves += spared
            account.enter(9.0, safe=False, ratio=None, solves=spared)
    assert audits / solves == pytest.approx(SELDOM, rel=0.2)


def test_what_was_drawn_for_repeats_that_ended_early_is_drawn_again():
    account = Strict(seed=0)
    play(account, [20] * 200, [8] * 200)
    while not account.ahead > 2:
        account.spare(500)
    account.enter(9.0, safe=False, ratio=None)
    account.spare(0)
    assert account.ahead == 0


def test_repeats_cannot_empty_it():
    """Each may cost what a trial is cut off at; where that could be too much nothing is repeated."""
    account = Strict(seed=0)
    play(account, [20] * 60, [19] * 60)
    for _ in range(50):
        margin, loss = account.margin, account.limit() + 1.0 - account.level
        assert account.spare(10**6) * loss <= max(margin, 0.0)
    account.spent += account.margin
    assert account.spare(10**6) == 0


def test_where_the_safe_omega_takes_few_iterations_it_may_be_repeated_for_long():
    account = Strict()
    play(account, [TINY - 2] * 3, [1] * 3)
    account.begin(1.0)
    assert account.due() and account.spare(511) == 511
    before = account.estimate
    account.enter(TINY - 1, safe=True, ratio=None, solves=512)
    assert account.estimate == before + 512 * (TINY - 1)


@pytest.mark.parametrize("plays", PLAYS)
def test_restored_it_goes_on_alike(plays):
    first, second = (Strict(seed=seed) for seed in (1, 2))
    safe, trial = costs("flips", 400)
    plays(first, safe, trial)
    second.restore(json.loads(json.dumps(first.state())))
    assert np.array_equal(plays(first, safe, trial), plays(second, safe, trial))


def test_a_plain_accounts_state_says_nothing_of_it():
    plain, account, fresh = Baseline(), Strict(seed=1), Strict(seed=1)
    play(plain, [20] * 30, [8] * 30)
    account.restore(plain.state())
    assert np.array_equal(play(account, *costs("flips", 100)), play(fresh, *costs("flips", 100)))
    plain.restore(account.state())
    assert plain.spent == account.spent
