"""Monitor, journal and records: each solve that comes in, and who wants to see those that nothing is decided for."""

from __future__ import annotations

import json

import pytest

from sorlearn.records import log
from sorlearn.records.journal import Journal
from sorlearn.records.log import Log
from sorlearn.tuning.record import SolveRecord

RECORD = SolveRecord(7, 1.5, 12, 2, cost=2.5)


@pytest.mark.parametrize(("flags", "end"), [
    ({}, "cost 2.5"), ({"explored": True}, "cost 2.5 explored"), ({"held": True}, "cost 2.5 held"),
    ({"explored": True, "rescued": True}, "cost 2.5 explored rescued"),
])  # fmt: skip
def test_the_monitor_prints_a_line_a_solve(flags, end):
    said = []
    Log("heat_", said.append, None).write(RECORD._replace(**flags))
    assert said == [f"  sorlearn heat_ solve 7: omega 1.5000, 12 iterations, reason 2, {end}"]


def test_a_solver_without_prefix_is_called_so():
    said = []
    Log("", said.append, None).write(RECORD)
    assert "(no prefix)" in said[0]


def test_the_last_records_are_kept(monkeypatch):
    monkeypatch.setattr(log, "RECORDS", 5)
    kept = Log("a_", None, None)
    for solve in range(1, 13):
        kept.write(RECORD._replace(solve=solve))
    assert [record.solve for record in kept.records] == [8, 9, 10, 11, 12]


def test_solves_are_observed_by_a_monitor_or_a_journal(tmp_path):
    journal = Journal(str(tmp_path / "journal"), "a_", "-a_pc_sorlearn_journal")
    assert [Log("a_", say, file).observed for say, file in ((None, None), (print, None), (None, journal))] == [
        False, True, True,
    ]  # fmt: skip
    Log("a_", None, journal).write(RECORD._replace(held=True))
    assert json.loads((tmp_path / "journal").read_text())["held"] is True
