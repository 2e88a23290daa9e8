"""What trials of arms and deciding may take, as an account in seconds; no PETSc."""

from __future__ import annotations

import pytest

from sorlearn.tuning.budget import ADVANCE, AT_ONCE, CHOSEN, DECIDING, STAYING, Budget

SHARE = 0.04


def budget(seconds=0.01, solves=1, safe=0.01, changes=True):
    """After so many solves that took so long."""
    made = Budget(SHARE)
    made.now(safe, changes)
    for _ in range(solves):
        made.solved(seconds)
    return made


@pytest.mark.parametrize("changes, advance", [(True, ADVANCE), (False, STAYING)])
@pytest.mark.parametrize("solves", [1, 100])
def test_trials_have_an_advance_and_a_share(changes, advance, solves):
    assert budget(solves=solves, changes=changes).for_trials == pytest.approx((advance + SHARE * solves) * 0.01)


def test_a_first_solve_in_which_all_is_made_is_no_measure_of_the_advance():
    made = budget(seconds=1.0)
    assert made.for_trials == pytest.approx(ADVANCE * 0.01 + SHARE)


@pytest.mark.parametrize("seconds, left", [(0.014, -0.004), (0.003, 0.0)])
def test_trials_pay_for_what_they_take_beyond_the_incumbent_and_save_nothing(seconds, left):
    made = budget()
    before = made.for_trials
    made.tried(seconds, 0.01)
    assert made.for_trials - before == pytest.approx(left)


@pytest.mark.parametrize("behind, reached", [(0.0, True), (0.003, True), (0.005, False), (-1.0, True)])
def test_who_is_behind_the_safe_arm_affords_no_set_up(behind, reached):
    made = budget()
    made.fell_behind(behind)
    assert made.reaches(0.005) is reached
    assert made.for_trials == pytest.approx((ADVANCE + SHARE) * 0.01 - max(behind, 0.0))


def test_a_trial_pays_for_deciding_twice():
    made = budget()
    before = made.for_trials
    made.decided(1e-4, trial=False)
    assert before - made.for_trials == pytest.approx(2e-4)


def test_decisions_stand_until_they_have_their_share_and_trials_aren_t_charged():
    made = budget()
    for trial in (False, True, False):
        made.decided(0.02, trial)
    owed = 0.04 - (AT_ONCE + DECIDING) * 0.01  # the first counts for nothing, the coming one does
    assert made.repeats(0.01) == pytest.approx(owed / (DECIDING * 0.01))
    assert budget().repeats(0.01) == 0.0
    few = 0.04 - CHOSEN * 0.001 - DECIDING * 0.01  # where much shorter solves have been found
    assert made.repeats(0.001) == pytest.approx(few / (DECIDING * 0.001))


def test_it_can_be_saved():
    made, other = budget(solves=7), Budget(SHARE)
    made.tried(0.02, 0.01)
    made.fell_behind(0.001)
    other.restore(made.state())
    other.now(0.01, True)
    assert other.for_trials == made.for_trials and other.state() == made.state()
