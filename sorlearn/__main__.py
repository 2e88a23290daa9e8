"""The command line: what to type to switch sorlearn on, and what a run has done."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from . import __version__, options
from .records import journal, report

PETSCRC = Path(__file__).with_name("petscrc")


def flags() -> str:
    """The flags that switch sorlearn on, on one line."""
    return " ".join(PETSCRC.read_text().split())


def doctor() -> str:
    """What sorlearn needs here, and whether it is there; imports petsc4py, and so initialises PETSc."""
    lines = [f"sorlearn {__version__}, Python {sys.version.split()[0]} ({sys.executable})"]
    if find_spec("petsc4py") is None:
        raise SystemExit(f"{lines[0]}\npetsc4py: missing; this Python can't run sorlearn (Debian: apt install "
                         "python3-petsc4py petsc-dev, and use /usr/bin/python3)")  # fmt: skip
    from petsc4py import PETSc

    version = ".".join(map(str, PETSc.Sys.getVersion()))
    lines.append(f"PETSc {version}: {PETSc.ScalarType.__name__}, {PETSc.IntType.__name__}")
    for package, why in (("mpi4py", "more than one rank"), ("matplotlib", "pictures")):
        lines.append(f"{package}: {'found' if find_spec(package) else 'missing'} (needed for {why})")
    lines.append("an application in C or Fortran finds this Python if it is the first python3 on PATH")
    return "\n".join(lines)


def show(path: str, picture: str | None) -> str:
    """The table of a journal; draws the picture, too, where one is asked for."""
    try:
        entries = journal.read(path)
    except (OSError, ValueError) as error:
        raise SystemExit(f"sorlearn report: {error}") from None
    if not entries:
        raise SystemExit(f"sorlearn report: {path} holds no solve")
    if picture:
        report.draw(entries, picture)
    return report.table(entries) + (f"\npicture: {picture}" if picture else "")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `python3 -m sorlearn`."""
    parser = argparse.ArgumentParser(prog="python3 -m sorlearn", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("flags", help="the flags that switch sorlearn on")
    commands.add_parser("petscrc", help="path of a file with these flags, for -options_file")
    commands.add_parser("options", help="all options")
    commands.add_parser("doctor", help="what is installed, and what is missing")
    reporter = commands.add_parser("report", help="what a journal (-pc_sorlearn_journal) says")
    reporter.add_argument("journal")
    reporter.add_argument("--picture", help="also save a picture under this name")
    given = parser.parse_args(arguments)
    if given.command == "report":
        print(show(given.journal, given.picture))
    else:
        texts = {"flags": flags, "petscrc": lambda: str(PETSCRC), "options": lambda: options.help_text(""),
                 "doctor": doctor}  # fmt: skip
        print(texts[given.command]())


if __name__ == "__main__":
    main()
