"""When a set-up is kept: the rule against the best fixed lag in hindsight and against a set-up for every matrix."""

from __future__ import annotations

import itertools
from typing import Callable, NamedTuple

import numpy as np
import pytest

from sorlearn.records.lag import Tally
from sorlearn.tuning.credit import CREDIT, LONGEST_REST, SHARE, Credit
from sorlearn.tuning.distances import Distances
from sorlearn.tuning.hopeless import LONGEST_WAIT
from sorlearn.tuning.lag import Renewal
from sorlearn.tuning.worth import FIRST, REMEMBERED, Readings, Worth

SOLVES = 400
LAGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 50, 80, 120, 200, 400)
_rng = np.random.default_rng(0)
_DRIFT = np.cumsum(abs(_rng.normal(0, 0.1, SOLVES)))
_JUMPS = np.repeat(_rng.normal(0, 3, SOLVES // 10), 10)
_UNLIKE = _rng.normal(0, 2, SOLVES)
_WAVE = 2 * np.sin(np.arange(SOLVES) / 60)
_LATER = np.arange(SOLVES) > SOLVES // 2
_NOISE = _rng.normal(0, 0.15, SOLVES)


def apart(positions):
    """How far matrices are from each other, as something that can be seen."""
    return lambda old, new: abs(positions[new] - positions[old])


class Case(NamedTuple):
    """Applications of solve `new` with the set-up of `old`; what is seen of the matrices; highest ratios."""

    cost: Callable[[int, int], float]
    seen: Callable[[int, int], float] | None
    over_best: float
    over_every: float


def cases(fresh):
    moved = apart(_DRIFT)
    jumped = apart(_JUMPS)
    rippled = apart(0.3 * _WAVE)
    return {
        "drift": Case(lambda old, new: fresh + round(3 * moved(old, new)), None, 1.05, 1.01),
        "drift that is seen": Case(lambda old, new: fresh + round(3 * moved(old, new)), moved, 1.05, 1.01),
        "all unlike": Case(lambda old, new: fresh if old == new else 1000, None, 1.03, 1.03),
        "all unlike, which is seen": Case(lambda old, new: fresh if old == new else 1000, apart(_UNLIKE), 1.03, 1.03),
        "all somewhat unlike": Case(lambda old, new: fresh * (1 if old == new else 2.2), apart(_UNLIKE), 1.03, 1.03),
        "jumps": Case(lambda old, new: fresh + round(30 * jumped(old, new)), None, 1.12, 1.01),
        "jumps that are seen": Case(lambda old, new: fresh + round(30 * jumped(old, new)), jumped, 1.05, 1.01),
        "noise alone": Case(lambda old, new: round(fresh * (1 + _NOISE[new])), None, 1.20, 1.01),
        "two kinds of solve in turn": Case(lambda old, new: fresh * (1 + 0.6 * (new % 2)), None, 1.08, 1.01),
        "a wave": Case(lambda old, new: fresh * (1 + abs(_WAVE[new])) * (1 + abs(_WAVE[new] - _WAVE[old])),
                       apart(_WAVE), 1.06, 1.03),
        "a ripple": Case(lambda old, new: fresh * (1 + 4 * rippled(old, new)), None, 1.02, 1.01),
        "a ripple, and a jump": Case(
            lambda old, new: fresh * (1 + rippled(old, new) + 0.3 * _LATER[new] + 4 * (_LATER[old] != _LATER[new])),
            None, 1.01, 1.0),
        "a ripple, then all unlike": Case(
            lambda old, new: fresh * (1 + rippled(old, new) + 99 * (_LATER[new] and old != new)), None, 1.01, 1.01),
    }  # fmt: skip


def play(case, worth, every=0):
    """Total applications, set-ups included, and what was counted."""
    tally = Tally()
    rule, old, total, resting = Renewal(every, tally), None, 0.0, 0
    for new in range(SOLVES):
        rule.worth = worth
        if resting:
            old, resting = new, resting - 1
            rule.rested()
            total += worth
        elif old is None or rule.due(case.seen(old, new) if case.seen else None):
            old = new
            rule.renewed()
            total += worth
        cost, limit = case.cost(old, new), rule.limit()
        if old != new and limit and cost > limit:
            rule.abandoned(limit)
            rule.renewed()
            total += limit + worth
            old, cost = new, case.cost(new, new)
        rule.spent(cost, kept=old != new)
        total += cost
        resting = resting or rule.rest()
    return total, tally


@pytest.mark.parametrize(("worth", "fresh"), [*itertools.product((1, 5, 20, 100), (5, 20))])
@pytest.mark.parametrize("name", cases(5))
def test_near_the_best_fixed_lag_and_never_much_above_a_set_up_for_each(name, worth, fresh):
    case = cases(fresh)[name]
    total, _ = play(case, worth)
    assert total <= case.over_every * play(case, worth, 1)[0]
    assert total <= case.over_best * min(play(case, worth, lag)[0] for lag in LAGS)


@pytest.mark.parametrize("name", cases(5))
def test_what_is_said_to_be_saved_is_true(name):
    case = cases(20)[name]
    total, tally = play(case, 20)
    every = play(case, 20, 1)[0]
    assert tally.spent == pytest.approx(total)
    assert tally.least - 0.02 * every <= every - total <= tally.most + 0.02 * every


@pytest.mark.parametrize("lag", [1, 3, 50])
def test_a_fixed_lag_is_kept_to(lag):
    _, tally = play(cases(20)["all unlike"], 5, lag)
    assert tally.set_ups == -(-SOLVES // lag)
    assert tally.rescued == 0


def test_a_fixed_lag_counts_solves_in_which_nothing_was_applied():
    rule, due = Renewal(3, Tally()), []
    rule.renewed()
    for solve in range(6):
        if solve % 2:
            rule.spent(20.0, kept=solve > 1)
        else:
            rule.passed_by()
        due.append(rule.due())
        if due[-1]:
            rule.renewed()
    assert due == [False, False, True, False, False, True]


def test_a_set_up_that_nothing_was_solved_with_is_no_measure():
    """As where the first right-hand side is zero: what solves take with it isn't known, so there is nothing to keep."""
    tally = Tally()
    rule = Renewal(0, tally)
    rule.worth = 5.0
    rule.renewed()
    rule.passed_by()
    assert rule.due() and (tally.solves, tally.set_ups) == (1, 0)
    rule.renewed()
    rule.spent(20.0, kept=False)
    rule.passed_by()
    assert not rule.due() and (rule.age, rule.idle, tally.solves, tally.set_ups) == (1, 1, 3, 2)


def test_where_keeping_never_pays_hardly_anybody_asks(monkeypatch):
    asked = []
    monkeypatch.setattr(Renewal, "due", lambda self, distance, due=Renewal.due: asked.append(0) or due(self, distance))
    total, tally = play(cases(5)["all unlike"], 20)
    assert len(asked) < SOLVES / 10
    assert tally.solves == SOLVES and total < 1.03 * SOLVES * 25


def test_what_was_lost_is_made_up_for_by_set_ups_and_then_they_are_kept_again():
    """They are no sign that keeping doesn't pay."""
    rule, resting = Renewal(0, Tally()), 0
    for new in range(SOLVES):
        rule.worth, kept = 28.0, False
        if resting:
            resting -= 1
            rule.rested()
        elif new == 0 or rule.due(0.3 if new == 2 else 0.01):
            rule.renewed()
        else:
            kept = True
            if new == 2:
                rule.abandoned(55.0)
                rule.renewed()
                kept = False
        rule.spent(6.0, kept=kept)
        resting = resting or rule.rest()
    assert 8 < rule.tally.set_ups < 40


def test_a_jump_is_foreseen_where_one_like_it_was_dear():
    """The first jump costs a solve that is given up, the later ones nothing."""
    places = np.repeat(np.arange(20) % 2, 20) * 3.0
    _, tally = play(Case(lambda old, new: 10 + 500 * (places[old] != places[new]), apart(places), 1.0, 1.0), 20)
    assert tally.rescued == 1


def test_a_failure_that_a_fresh_set_up_does_not_repair_is_not_provoked_again_and_again():
    rule, kept = Renewal(0, Tally()), 0
    rule.worth = 50.0
    rule.renewed()
    rule.spent(10.0, kept=False)
    for _ in range(3 * LONGEST_WAIT):
        if rule.due():
            rule.renewed()
            rule.spent(10.0, kept=False)
        else:
            kept += 1
            rule.abandoned(10.0)
            rule.renewed()
            rule.spent(10.0, kept=False, whole=False)
            rule.failed()
    assert kept < 16


def test_failures_cast_doubt_on_what_is_kept_of_a_first_set_up_ever_more_seldom():
    for broken_down, count in ((False, 8), (True, 64)):
        rule, doubted = Renewal(0, Tally()), []
        assert not rule.doubted
        for _ in range(64):
            rule.failed(broken_down)
            doubted.append(rule.doubted)
        assert sum(doubted) == count and doubted[:2] == [True, True]
        rule.worked()
        assert not rule.doubted


def test_right_hand_sides_with_one_matrix_are_no_reason_to_set_up():
    rule = Renewal(0, Tally())
    rule.worth = 10.0
    rule.renewed()
    rule.spent(5.0, kept=False)
    for cost in (5.0, 9.0, 30.0):
        rule.spent(cost, kept=False, first=False)
    assert rule.age == 4 and not rule.due()


def test_a_set_up_s_worth_is_in_applications_of_the_slowest_rank():
    worth = Worth()
    worth.agree([7.0, 0.1, 0.0, 0.0], 10.0)
    for _ in range(REMEMBERED):
        found = worth.agree([1.0, 0.1, 0.2, 0.001], 10.0)
    assert found == pytest.approx(10.0)
    assert worth.of_first == pytest.approx(2.0)
    assert worth.looks


def test_the_first_set_up_counts_for_less_and_then_not_at_all():
    worth = Worth()
    assert worth.agree([7.0, 0.1, 0.0, 0.0], 10.0) == pytest.approx(70.0 * FIRST)
    assert worth.agree([1.0, 0.1, 0.0, 0.0], 10.0) == pytest.approx(10.0)


def test_a_clock_that_says_too_much_now_and_then_is_not_believed():
    worth = Worth()
    for i in range(50):
        found = worth.agree([1.0 + 9.0 * (i % 3 == 1), 0.1 + 0.9 * (i % 4 == 1), 0.0, 0.0], 10.0)
    assert found == pytest.approx(10.0)


def test_a_look_that_is_dear_is_left_out():
    worth = Worth()
    worth.agree([1.0, 0.1, 0.0, 0.05], 10.0)
    assert not worth.looks


def test_where_nobody_says_which_applications_belong_together_pauses_are_left_out(monkeypatch):
    clock = iter(np.cumsum([0.0, 1.0, 1.0, 60.0, 1.0, 1.0]))
    monkeypatch.setattr("sorlearn.tuning.worth.perf_counter", lambda: next(clock))
    readings = Readings()
    readings.applied_first(1.0, kept=False, fresh=True)
    for _ in range(5):
        readings.applied()
    assert readings.take()[1] == pytest.approx(1.0)


# -- its rooms


@pytest.mark.parametrize(
    "looked, excess, far",
    [(None, None, False), (0.0, None, False), (0.1, 5.0, False), (0.5, 5.0, False), (1.0, 20.0, False),
     (1e9, 20.0, True)],
)
def test_a_distance_is_expected_to_cost_what_the_next_lesser_one_has(looked, excess, far):
    distances = Distances()
    for distance, more in ((0.1, 5.0), (1.0, 20.0)):
        distances.look(distance)
        distances.remember(more)
    distances.look(looked)
    assert distances.excess == excess and distances.far is far


def test_what_is_remembered_of_a_distance_follows_the_last_solves():
    distances = Distances()
    distances.look(0.3)
    for more in (0.0, *[10.0] * 20):
        distances.remember(more)
    assert distances.excess == pytest.approx(10.0, abs=0.1)


def test_a_distance_is_as_before_where_the_last_kept_solve_was_no_farther_than_an_octave():
    distances = Distances()
    distances.look(0.3)
    assert distances.from_fresh and not distances.as_before
    distances.solved(kept=True)
    for distance, alike in ((0.3, True), (0.6, True), (3.0, False), (None, False)):
        distances.look(distance)
        assert distances.as_before is alike
    distances.renewed()
    assert distances.from_fresh


def test_after_trials_that_lost_keeping_is_put_off_ever_longer():
    credit, pauses = Credit(), []
    for _ in range(100):
        credit.set_up(10.0)
    credit.kept(1e4, trial=False)  # there is much to lose
    for _ in range(4):
        credit.kept(-1.0, trial=True)
        pauses.append(credit.put_off(10.0))
    assert pauses == [1, 2, 4, 8]


def test_keeping_is_put_off_till_it_is_affordable():
    credit = Credit()
    assert credit.used_up
    credit.set_up(10.0)
    assert not credit.used_up and credit.put_off(10.0) == pytest.approx(0.5 * CREDIT / SHARE, abs=1)
    for _ in range(100):
        credit.solved(10.0)
    assert credit.put_off(10.0) <= 1
    credit.kept(-1e3, trial=False)
    assert credit.used_up and credit.put_off(0.0) == LONGEST_REST
