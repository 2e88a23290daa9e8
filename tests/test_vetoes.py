"""What failed is left alone, what to fall back to, and waiting where nothing helps."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sorlearn.tuning.bins import bin_of, omega_of
from sorlearn.tuning.vetoes import DROPPED, LONGEST_WAIT, Vetoes


def after(*failures, safe=1.0):
    """Vetoes after these failures: pairs of ω, and the one that it was repaired with (0 for none)."""
    vetoes = Vetoes(safe)
    for omega, worked in failures:
        vetoes.failed(omega, worked)
        vetoes.charge(omega, omega, 10.0)
    return vetoes


@pytest.mark.parametrize(("failures", "omega", "allowed"), [
    ([], 1.9, True),
    ([(1.9, 1.0)], 1.9, False),
    ([(1.9, 1.0)], omega_of(bin_of(1.9) + 1), False),  # the neighbours, too
    ([(1.9, 1.0)], omega_of(bin_of(1.9) - 1), False),
    ([(1.9, 1.0)], omega_of(bin_of(1.9) + 2), True),
    ([(1.9, 1.0)], 1.0, True),
    ([(1.05, 1.0)], 1.0, True),  # a neighbour of the safe ω
    ([(1.0, 0.0)], 1.0, True),
    ([(1.0, 1.7)], 1.0, True),
])  # fmt: skip
def test_what_failed_is_left_alone_but_never_the_safe_omega(failures, omega, allowed):
    assert after(*failures).allows(omega) is allowed


def test_an_omega_is_dropped_for_a_while_and_longer_each_time():
    """It answered much worse, which may have been the matrix."""
    vetoes, lengths = Vetoes(1.0), []
    for _ in range(8):
        vetoes.drop(1.8)
        assert vetoes.any and not vetoes.allows(1.8) and vetoes.allows(1.0)
        lengths.append(0)
        while not vetoes.allows(1.8):
            lengths[-1] += 1
            assert not vetoes.waiting()
        assert not vetoes.any
    assert lengths == [min(DROPPED * 2**k, LONGEST_WAIT) for k in range(8)]


@pytest.mark.parametrize(("safe", "tried", "gone", "asked", "instead"), [
    (1.0, [1.2, 1.6, 1.8], [1.8], 1.8, 1.6),
    (1.0, [1.2, 1.6, 1.8], [1.8, 1.6], 1.8, 1.2),
    (1.9, [1.2, 1.5, 1.7], [1.5], 1.5, 1.7),
    (1.0, [1.8, 1.9], [1.8], 1.8, 1.0),  # what has worked is further away
    (1.0, [], [1.8], 1.8, 1.0),
])  # fmt: skip
def test_in_place_of_what_is_dropped_comes_the_next_that_worked_towards_the_safe_omega(
    safe, tried, gone, asked, instead
):  # fmt: skip
    vetoes = worked(Vetoes(safe), *((omega, 2.0) for omega in tried))
    for omega in gone:
        vetoes.drop(omega)
    found = vetoes.instead(asked)
    assert vetoes.allows(found) and bin_of(found) == bin_of(instead)


def test_in_place_of_what_failed_comes_the_fallback():
    vetoes = worked(after((1.9, 1.0)), (1.3, 2.0))
    assert vetoes.instead(1.9) == 1.0
    vetoes.drop(1.5)
    assert bin_of(vetoes.instead(1.5)) == bin_of(1.3)
    vetoes.failed(1.0, 1.3)
    assert vetoes.instead(1.5) == vetoes.fallback()


def worked(vetoes, *losses):
    for omega, loss in losses:
        vetoes.charge(omega, omega, loss)
    return vetoes


@pytest.mark.parametrize(("failures", "losses", "fallback"), [
    ([(1.9, 1.0)], [(1.5, 1.0)], 1.0),  # the safe ω works
    ([(1.0, 1.5)], [], 1.0),  # nothing else has been tried
    ([(1.0, 1.5)], [(1.3, 3.0), (1.6, 2.0), (1.7, 4.0)], 1.6),  # what worked best
    ([(1.0, 0.0)], [(1.3, 3.0)], 1.3),
    ([(1.0, 1.5)], [(1.6, 2.0), (1.6, 30.0), (1.6, 30.0), (1.3, 3.0)], 1.3),  # it isn't the best any more
])  # fmt: skip
def test_the_fallback_is_the_safe_omega_until_that_fails(failures, losses, fallback):
    vetoes = worked(after(*failures), *losses)
    assert bin_of(vetoes.fallback()) == bin_of(fallback)


def test_what_fails_is_no_fallback():
    vetoes = worked(after((1.0, 1.6)), (1.6, 1.0), (1.3, 3.0))
    vetoes.failed(1.6, 1.3)
    assert bin_of(vetoes.fallback()) == bin_of(1.3)


def waits(vetoes):
    """Solves until the next one is tried again."""
    count = 0
    while vetoes.waiting():
        count += 1
    return count


def test_waits_double_where_nothing_helps_up_to_a_limit():
    vetoes, lengths = Vetoes(1.0), []
    for _ in range(14):
        vetoes.failed(1.9, 0.0)
        lengths.append(waits(vetoes))
    assert lengths[0] == 1 and lengths[-1] == LONGEST_WAIT
    assert all(later == min(2 * earlier, LONGEST_WAIT) for earlier, later in pairwise(lengths))


def test_a_repaired_failure_is_not_waited_for():
    assert waits(after((1.9, 1.0))) == 0


def test_the_learner_hears_what_was_played_or_what_the_failure_cost():
    vetoes = Vetoes(1.0)
    assert vetoes.charge(1.5, 1.5, 3.0) == 3.0
    vetoes.failed(1.9, 1.0)
    assert vetoes.charge(1.9, 1.9, 40.0) == 40.0
    assert vetoes.charge(1.9, 1.0, 5.0) == 40.0  # asked for again, and not played
    assert vetoes.charge(1.9, 1.0, 70.0) == 70.0
    assert vetoes.charge(1.5, 1.5, 3.0) == 3.0


def test_state_round_trip():
    vetoes, again = worked(after((1.9, 1.0), (1.0, 0.0)), (1.4, 2.0)), Vetoes(1.0)
    vetoes.drop(1.7)
    again.restore(vetoes.state())
    assert [again.allows(omega_of(i)) for i in range(71)] == [vetoes.allows(omega_of(i)) for i in range(71)]
    assert again.fallback() == vetoes.fallback() != 1.0
    assert waits(again) == waits(vetoes) == 1


def test_a_state_of_before_there_was_dropping_is_one():
    old = after((1.9, 1.0)).state()
    del old["dropped"], old["longer"]
    again = Vetoes(1.0)
    again.restore(old)
    assert not again.allows(1.9) and again.allows(1.7)


@pytest.mark.parametrize("damage", [{"banned": [1.0]}, {"dropped": [1.0]}, {"best_loss": "x"}, {"wait": None}])
def test_damaged_state_is_refused(damage):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Vetoes(1.0).restore({**Vetoes(1.0).state(), **damage})


def test_a_system_that_nothing_solves_says_nothing_of_the_safe_omega():
    vetoes = worked(after((1.9, 0.0)), (1.5, 2.0))
    assert not vetoes.safe_fails and bin_of(vetoes.fallback()) == bin_of(1.5)  # till it is known, it may be that
    vetoes.worked(1.5)
    assert bin_of(vetoes.fallback()) == bin_of(1.5)
    vetoes.worked(1.0)
    assert vetoes.fallback() == 1.0
    vetoes.failed(1.0, 1.5)
    vetoes.worked(1.0)
    assert vetoes.safe_fails and bin_of(vetoes.fallback()) == bin_of(1.5)
