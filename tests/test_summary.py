"""The words at the end of a run: counted right, and nothing that isn't known."""

from __future__ import annotations

import pytest

from sorlearn.records.summary import Tally, reasons, savings, summarise
from sorlearn.tuning.record import Outcome


def tally(solves=10, iterations=20, digits=0.0, safe=0, seconds=0.1, chosen=None, short=0, other=0, stopped=0):
    """Of so many equal solves, `safe` of them at the safe ω, which was `chosen` if nothing else is said."""
    counted = Tally()
    for i in range(solves):
        counted.count(Outcome(iterations, 2), seconds, digits, i < safe)
    counted.chosen, counted.short, counted.other = safe if chosen is None else chosen, short, other
    counted.stopped = stopped
    return counted


@pytest.mark.parametrize(("outcome", "failed", "repaired", "continued"), [
    (Outcome(5, 2), 0, 0, 0),
    (Outcome(9, 2, rescued=True, failed=True, worked=1.0), 1, 1, 0),
    (Outcome(9, -3, failed=True), 1, 0, 0),
    (Outcome(9, 2, rescued=True), 0, 0, 1),
])  # fmt: skip
def test_what_became_of_trials_is_counted(outcome, failed, repaired, continued):
    counted = Tally()
    counted.count(outcome, 0.5, 0.25, True)
    assert (counted.failed, counted.repaired, counted.continued) == (failed, repaired, continued)
    assert (counted.solves, counted.iterations, counted.seconds, counted.digits, counted.safe) == (
        1, outcome.iterations, 0.5, 0.25, 1,
    )  # fmt: skip


@pytest.mark.parametrize(("counted", "price", "saved", "words"), [
    (tally(), 1.0, None, []),
    (tally(), 1.0, (0.4, 0.02), []),
    (tally(), 1.3, (0.4, 0.02), ["counts as 1.3"]),
    (tally(digits=0.6), 1.0, (0.4, 0.02), ["0.6 digits"]),
    (tally(digits=0.2), 1.0, (0.4, 0.02), []),
    (tally(solves=20, safe=18), 1.0, (0.0, 0.0), ["mostly as good as any other"]),
    (tally(solves=20, safe=18), 1.0, (0.2, 0.01), []),
    (tally(solves=20, safe=18, chosen=2, short=16), 1.0, (0.0, 0.0), ["so few iterations that no other was tried"]),
    (tally(solves=20, safe=18, chosen=2), 1.0, (0.0, 0.0), []),  # it isn't known
    (tally(solves=20, safe=18, chosen=2, other=12), 1.0, (0.0, 0.0), ["narrower bounds may help (-heat_pc_sor"]),
    (tally(solves=60, safe=60, chosen=2, stopped=58), 1.0, (0.0, 0.0), []),
    (tally(solves=19, safe=19), 1.0, (0.0, 0.0), []),  # it may be only beginning
    (tally(safe=2), 1.0, (0.0, 0.005), ["than the safe one; -heat_pc_type sor does as well"]),
    (tally(safe=2), 1.0, (0.01, 0.05), []),  # it may be 11 %
    (tally(solves=20, digits=0.6, safe=18), 1.3, None, ["counts as 1.3", "0.6 digits", "mostly as good"]),
    (tally(solves=0), 1.0, None, []),
])  # fmt: skip
def test_reasons_are_given_where_there_is_one(counted, price, saved, words):
    found = reasons("heat_", counted, price, saved)
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found))


def test_remedies_can_be_typed_as_they_stand():
    (digits,) = reasons("heat_", tally(digits=0.6), 1.0, (0.4, 0.02))
    assert "try -heat_ksp_norm_type unpreconditioned (cg) or -heat_ksp_pc_side right (gmres)" in digits


def test_savings_have_their_uncertainty():
    counted = tally(solves=100)
    counted.own = 0.5
    text = savings(counted, 1.0, (0.5, 0.03))
    assert "omega = 1: 50 % of its iterations (from 44 to 56 %)" in text
    assert "about 9 s (from 6.9 to 11 s) after the 0.5 s" in text  # 10 s were spent, of which iterations took 9.5


def timed(iterations, fixed, each, batch=1):
    """Of solves with so many iterations that take seconds for each and others that are fixed."""
    counted = Tally()
    for count in iterations:
        counted.count(Outcome(batch * count, 2), batch * (fixed + each * count), 0.0, False, batch)
    return counted


@pytest.mark.parametrize(("counted", "each"), [
    (timed([3, 5, 10] * 10, 1e-5, 1e-6), 1e-6),
    (timed([3, 5, 10] * 10, 1e-5, 1e-6, batch=7), 1e-6),
    (timed([5] * 30, 1e-5, 1e-6), None),  # of one length
    (timed([3, 5, 10], 1e-5, 1e-6), None),  # too few
    (timed([5] * 30, 1e-4, 1e-3), 5.1e-3 / 6.0),  # the fixed part is short
    (Tally(), None),
])  # fmt: skip
def test_a_fixed_part_of_solves_is_no_price_of_iterations(counted, each):
    assert counted.each == (None if each is None else pytest.approx(each))


def test_repairs_say_nothing_of_what_iterations_take():
    counted = timed([3, 5, 10] * 10, 1e-5, 1e-6)
    counted.count(Outcome(1000, 2, rescued=True, failed=True, worked=1.0), 1e-5, 0.0, False)
    assert counted.each == pytest.approx(1e-6)


def test_no_seconds_are_claimed_where_they_are_not_known():
    text = savings(timed([5] * 30, 1e-5, 1e-6), 1.0, (0.5, 0.03))
    assert text.endswith("50 % of its iterations (from 44 to 56 %), less the 0 s that sorlearn took itself")


def test_losses_are_not_hidden():
    counted = tally(solves=100)
    counted.own = 0.5
    text = savings(counted, 1.2, (-0.25, 0.0))
    assert "omega = 1.2: -25 %" in text and "about -2.4 s" in text


def test_nothing_lost_has_no_sign():
    assert "omega = 1: 0 % of its iterations (from 0 to 0 %)" in savings(tally(), 1.0, (-0.002, 0.0))


@pytest.mark.parametrize(("safe", "seconds"), [(0, "about -1.9 s"), (50, "about -0.23 s")])
def test_seconds_heed_what_iterations_cost_with_inodes(safe, seconds):
    assert seconds in savings(tally(solves=100, safe=safe), 1.0, (0.2, 0.01), price=1.5625)  # 9.5 s / 1.5625 / 0.8


def test_what_is_not_known_is_not_claimed():
    assert "not known" in savings(tally(), 1.0, None)


@pytest.mark.parametrize("share", [0.05, -0.05])
def test_neither_gain_nor_loss_is_claimed_where_it_may_be_either(share):
    text = savings(tally(), 1.0, (share, 0.03))
    assert "not known for certain, from " in text and f"{100 * share:.0f} %" not in text


def test_all_solves_with_the_safe_omega_save_nothing():
    counted = tally(solves=100, safe=100)
    counted.own = 0.5
    text = savings(counted, 1.0, (0.0, 0.0))
    assert "omega = 1: nothing" in text and "0.5 s" in text and "%" not in text


def test_summary_of_a_run():
    counted = tally(solves=7, iterations=3)
    counted.count(Outcome(9, 2, rescued=True, failed=True, worked=1.0), 0.3, 0.0, False)
    lines = summarise("heat_", "auto", counted, [1.2, 1.9, 1.4], 1.0, (0.3, 0.01), 1.0).split("\n  ")
    assert lines[0] == "sorlearn summary of heat_: learner auto, 8 solves, 30 iterations (3.75 a solve), 1 s"
    assert lines[1] == "omega: median of the last 3 decisions 1.400, last 1.400"
    assert lines[2].startswith("saved against omega = 1: 30 %")
    assert lines[-1] == "failed: 1, repaired: 1, continued with omega_safe: 0"


def test_a_fixed_omega_saves_nothing_and_needs_no_excuse():
    text = summarise("", "fixed", tally(safe=10), [1.3], 1.3, None, 1.4)
    assert "(no prefix)" in text and "saved" not in text and "inodes" not in text


def test_solves_after_learning_has_stopped_are_told():
    text = summarise("", "auto", tally(stopped=4), [1.3], 1.0, None, 1.0)
    assert "learning has stopped, for a reason that was said then: 4 solves after it" in text


def test_a_run_without_solves_has_a_summary():
    assert "0 solves, 0 iterations (0.00 a solve)" in summarise("", "auto", Tally(), [], 1.0, None, 1.0)
