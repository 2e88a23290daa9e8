"""What a journal says: the table, the picture, and a line for every file that isn't a journal."""

from __future__ import annotations

import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorlearn.__main__ import main
from sorlearn.records import report
from sorlearn.records.journal import Journal, line, read
from sorlearn.tuning.record import SolveRecord

GOOD = line("a_", SolveRecord(1, 1.5, 3, 2))
#: Of the second schema, but for the number of the solve.
ARMS = GOOD.replace('"schema": 1', '"schema": 2, "arm": "sor"').replace('"solve": 1, ', "")
BAD = {
    "number": "5",
    "text": '"a"',
    "null": "null",
    "list": "[1, 2]",
    "no JSON": "hello",
    "empty line": "",
    "empty object": "{}",
    "only a schema": '{"schema": 1}',
    "another schema": GOOD.replace('"schema": 1', '"schema": 2'),
    "no omega": GOOD.replace('"omega": 1.5, ', ""),
    "no name": GOOD.replace('"name": "a_", ', ""),
    "omega a text": GOOD.replace("1.5", '"1.5"'),
    "omega null": GOOD.replace("1.5", "null"),
    "omega NaN": GOOD.replace("1.5", "NaN"),
    "omega infinite": GOOD.replace("1.5", "1e999"),
    "iterations a truth value": GOOD.replace('"iterations": 3', '"iterations": true'),
    "iterations a fraction": GOOD.replace('"iterations": 3', '"iterations": 3.5'),
    "iterations enormous": GOOD.replace('"iterations": 3', '"iterations": ' + "9" * 400),
    "rescued a list": GOOD.replace('"rescued": false', '"rescued": []'),
    "an arm's solve missing": ARMS,
    "an arm's solve a list": ARMS[:-1] + ', "solve": [1]}',
    "an arm's solve enormous": ARMS[:-1] + ', "solve": ' + "9" * 400 + "}",
    "deeply nested": "[" * 100_000,
}


@pytest.fixture
def journal(tmp_path):
    """A journal of two solvers."""
    path = str(tmp_path / "runs.jsonl")
    for name, omegas in (("", [1.0, 1.2, 1.4]), ("heat_", [1.8, 1.8])):
        solver = Journal(path, name, "-pc_sorlearn_journal")
        for solve, omega in enumerate(omegas, 1):
            solver.write(SolveRecord(solve, omega, 10 * solve, 2, seconds=0.5, rescued=solve == 2))
    return path


def test_table(journal, capsys):
    main(["report", journal])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["solver", "solves", "iterations", "seconds", "omega", "rescued"]
    assert rows[0].split() == ["(no", "prefix)", "3", "60", "1.500", "1.20", "(1.04-1.36)", "1"]
    assert rows[1].split() == ["heat_", "2", "30", "1.000", "1.80", "(1.80-1.80)", "1"]


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_picture(journal, tmp_path, capsys, suffix):
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    picture = tmp_path / f"run.{suffix}"
    main(["report", journal, "--picture", str(picture)])
    assert picture.stat().st_size > 5000
    assert capsys.readouterr().out.endswith(f"picture: {picture}\n")


def test_a_picture_without_a_format_is_a_png(journal, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    main(["report", journal, "--picture", str(tmp_path / "run")])
    assert capsys.readouterr().out.endswith(f"picture: {tmp_path / 'run.png'}\n")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def refusal(arguments):
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    message = str(caught.value)
    assert message.startswith("sorlearn report: ") and "\n" not in message
    return message


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ("run.xyz", "xyz"),
        ("no/such/folder/run.png", "No such file or directory"),
        ("/proc/run.png", "/proc/run.png"),
    ],
)
def test_a_picture_that_cannot_be_saved_costs_one_line(journal, tmp_path, monkeypatch, capsys, picture, said):
    pytest.importorskip("matplotlib", reason="a picture needs matplotlib")
    monkeypatch.chdir(tmp_path)
    assert said in refusal(["report", journal, "--picture", picture])
    assert "heat_" in capsys.readouterr().out


def test_no_matplotlib(journal, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "remedy: python3 -m pip install matplotlib" in refusal(["report", journal, "--picture", "run.png"])
    assert "heat_" in capsys.readouterr().out


@pytest.mark.parametrize("bad", BAD)
def test_a_line_of_something_else_is_named(tmp_path, bad):
    path = tmp_path / "runs.jsonl"
    path.write_text(f"{GOOD}\n{BAD[bad]}\n{GOOD}\n")
    assert refusal(["report", str(path)]) == (
        f"sorlearn report: {path}, line 2: not a line that -pc_sorlearn_journal (schema 1) or "
        "-sorlearn_arms_journal (schema 2) has written"
    )  # fmt: skip


@given(st.binary(max_size=200))
def test_any_file_is_a_journal_or_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "runs.jsonl"
    path.write_bytes(content)
    try:
        report.table(read(str(path)))
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)


FIELDS = st.sampled_from(["schema", "name", "omega", "iterations", "seconds", "rescued", "solve", "context"])
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)


@given(FIELDS, ANYTHING)
def test_any_field_replaced_by_anything(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("any") / "runs.jsonl"
    path.write_text(json.dumps({**json.loads(GOOD), key: value}) + "\n")
    try:
        report.table(read(str(path)))
    except ValueError as error:
        assert "line 1: not a line that" in str(error)


def test_files_that_are_none(tmp_path, journal):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)) + b"\n")
    for name, said in [
        ("nothing", "No such file or directory"),
        ("fifo", "not a regular file"),
        (".", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("empty", "holds no solve"),
        ("binary", "not a line that"),
    ]:
        assert said in refusal(["report", str(tmp_path / name)])
