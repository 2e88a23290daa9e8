"""What outlives solvers: given back under the same key, forgotten when too many kinds wait, learners by group."""

from __future__ import annotations

import pytest

from sorlearn.names import kin
from sorlearn.options import Settings
from sorlearn.records import told
from sorlearn.tuning.registry import Registry


@pytest.mark.parametrize(("name", "other", "same"), [
    ("heat_", "heat_", True), ("heat_", "flow_", False), ("dolfinx_solve_140234567_", "dolfinx_solve_998877_", True),
    ("fieldsplit_0_", "fieldsplit_1_", False), ("level_1234_", "level_4321_", False), ("", "", True),
])  # fmt: skip
def test_ids_in_names_count_as_equal(name, other, same):
    assert (kin(name) == kin(other)) is same


def nothing():
    pass


def test_what_is_given_back_is_handed_out_again():
    registry = Registry()
    one = registry.acquire(("a_", 10), object, nothing)
    registry.release(("a_", 10), one)
    assert registry.acquire(("a_", 10), pytest.fail, nothing) is one


@pytest.mark.parametrize("key", [("b_", 10), ("a_", 11)])
def test_other_kinds_get_something_of_their_own(key):
    registry = Registry()
    one = registry.acquire(("a_", 10), object, nothing)
    registry.release(("a_", 10), one)
    assert registry.acquire(key, object, nothing) is not one


def test_live_solvers_of_one_kind_do_not_share():
    registry, key = Registry(), ("a_", 10)
    one, two = (registry.acquire(key, object, nothing) for _ in range(2))
    assert one is not two
    for each in (one, two):
        registry.release(key, each)
    assert {registry.acquire(key, pytest.fail, nothing) for _ in range(2)} == {one, two}


def test_cleaning_up_comes_before_something_new_is_made_beside_others():
    """The solver that holds it may be out of reach, and give back what it has when it is cleaned up."""
    registry, key, calls = Registry(), ("a_", 10), []
    one = registry.acquire(key, object, lambda: calls.append("first"))

    def clean_up():
        calls.append("second")
        registry.release(key, one)

    assert registry.acquire(key, pytest.fail, clean_up) is one
    assert calls == ["second"]


def test_the_oldest_kinds_are_forgotten():
    registry = Registry()
    for i in range(2 * Registry.LIMIT):
        registry.release((f"s{i}_", i), registry.acquire((f"s{i}_", i), object, nothing))
    assert len(registry.waiting) == Registry.LIMIT
    assert not registry.in_use
    last = 2 * Registry.LIMIT - 1
    registry.acquire((f"s{last}_", last), pytest.fail, nothing)


@pytest.mark.parametrize(("one", "two", "shared"), [
    ({"group": "g"}, {"group": "g"}, True),
    ({"group": "g"}, {"group": "h"}, False),
    ({}, {}, False),
    ({"group": "g"}, {"group": "g", "learner": "thompson"}, False),
    ({"group": "g"}, {"group": "g", "seed": 1}, False),
    ({"group": "g"}, {"group": "g", "omega_max": 1.8}, False),
    ({"group": "g"}, {"group": "g", "cost": "time"}, False),
    ({"group": "g"}, {"group": "g", "monitor": True}, True),
])  # fmt: skip
def test_a_group_of_like_solvers_shares_one_learner(one, two, shared):
    registry = Registry()
    told._told.clear()
    said = []
    first = registry.session("a_", Settings(**one), said.append, False)
    second = registry.session("b_", Settings(**two), said.append, False)
    assert (first.learner is second.learner) is shared
    assert len(said) == (not shared and one.get("group") == two.get("group") == "g")
    assert all("solver 'b_': others of -b_pc_sorlearn_group g have another learner" in line for line in said)
    assert first.accuracy is not second.accuracy
