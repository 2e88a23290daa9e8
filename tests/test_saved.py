"""A solver's saved state over its run: when it is written, and that what goes wrong costs one message."""

from __future__ import annotations

import pytest

from sorlearn.errors import StateError
from sorlearn.records import checkpoint
from sorlearn.records.saved import SAVE_EVERY, Saved

STEM = "-a_pc_sorlearn_"


def saved(said, load=None, save=None):
    return Saved("a_", STEM, load and str(load), save and str(save), said.append)


def test_saved_every_so_many_solves(tmp_path):
    keeper, seen = saved([], save=tmp_path / "state"), []
    for solves in range(0, 3 * SAVE_EVERY, 50):
        keeper.sometimes(solves, lambda solves=solves: seen.append(solves) or {"solves": solves})
    assert seen == [SAVE_EVERY, 2 * SAVE_EVERY]
    assert checkpoint.load(str(tmp_path / "state"), "a_") == {"solves": 2 * SAVE_EVERY}


@pytest.mark.parametrize(("asked", "solves"), [(True, 0), (False, 10**6)])
def test_nothing_is_written_where_there_is_nothing_to_say_or_nobody_asks(tmp_path, asked, solves):
    keeper = saved([], save=tmp_path / "state" if asked else None)
    keeper.save(solves, pytest.fail)
    keeper.sometimes(solves, pytest.fail)
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_costs_one_message(tmp_path):
    said = []
    keeper = saved(said, save=tmp_path / "nowhere" / "state")
    for solves in (1, 2, 3):
        keeper.save(solves, dict)
    (message,) = said
    assert message.startswith(f"sorlearn: {STEM}save: {tmp_path / 'nowhere' / 'state'}: No such file or directory")
    assert message.endswith("the run goes on")


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_costs_one_message_an_option(path):
    said = []
    keeper = saved(said, load=path, save=path)
    keeper.restore(pytest.fail)
    for solves in (1, 2):
        keeper.save(solves, dict)
    assert [message.split(": ")[1] for message in said] == [f"{STEM}load", f"{STEM}save"]
    assert all(f"{path}: no file can have this name; " in message for message in said)


def test_solvers_of_other_sizes_say_nothing_more_of_a_path(tmp_path):
    said, path = [], tmp_path / "nowhere" / "state"
    for _ in range(3):
        keeper = saved(said, load=path, save=path)
        keeper.restore(pytest.fail)
        keeper.save(1, dict)
    assert [message.split(": ")[1] for message in said] == [f"{STEM}load", f"{STEM}save"]


def test_a_path_that_can_be_written_later_is_written(tmp_path):
    said, path = [], tmp_path / "later" / "state"
    saved(said, save=path).save(1, dict)
    path.parent.mkdir()
    saved(said, save=path).save(2, lambda: {"n": 2})
    assert checkpoint.load(str(path), "a_") == {"n": 2} and len(said) == 1


def test_what_was_saved_is_restored(tmp_path):
    path, got, said = tmp_path / "state", [], []
    saved(said, save=path).save(3, lambda: {"n": 1})
    saved(said, load=path).restore(got.append)
    assert (got, said) == ([{"n": 1}], [])


def test_nothing_is_restored_where_nobody_asks():
    saved([]).restore(pytest.fail)


@pytest.mark.parametrize("refused", [True, False])
def test_a_state_that_cannot_be_restored_costs_one_message(tmp_path, refused):
    path, said = tmp_path / "state", []
    if refused:
        saved([], save=path).save(3, dict)

    def refuse(state):
        raise StateError("it is another learner's")

    saved(said, load=path).restore(refuse)
    (message,) = said
    assert message.startswith(f"sorlearn: {STEM}load: ") and message.endswith("; learning starts afresh")
    assert ("it is another learner's" in message) is refused
