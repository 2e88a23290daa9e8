"""The command line: what to type to switch sorlearn on, and what a run has done.

What needs numpy is imported where it is used: the doctor must also speak where it is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import __version__, doctor

HERE = Path(__file__).parent


def petscrc(running: bool) -> Path:
    """The file of flags: for applications that PETSc loads Python into, or for programs that are Python already."""
    return HERE / ("petscrc-python" if running else "petscrc")


def flags(running: bool) -> str:
    """These flags on one line."""
    return " ".join(petscrc(running).read_text().split())


def show(path: str, picture: str | None) -> None:
    """Print the table of a journal; draw the picture, too, where one is asked for."""
    from .records import journal, report

    try:
        entries = journal.read(path)
        if not entries:
            raise ValueError(f"{path}: holds no solve")
        print(report.table(entries))
        if picture:
            print(f"picture: {report.draw(entries, picture)}")
    except ImportError as error:
        raise SystemExit(f"sorlearn report: no picture: {error}; remedy: python3 -m pip install matplotlib") from None
    except OSError as error:
        raise SystemExit(f"sorlearn report: {error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"sorlearn report: {error}") from None


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `python3 -m sorlearn`."""
    parser = argparse.ArgumentParser(prog="python3 -m sorlearn", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help in (
        ("flags", "the flags that switch sorlearn on"),
        ("petscrc", "path of a file with these flags, for -options_file"),
        ("doctor", "what is installed, and what is missing; fails where sorlearn would not work"),
    ):
        command = commands.add_parser(name, help=help)
        command.add_argument("--python", action="store_true", help="for programs that are Python already")
    commands.add_parser("options", help="all options")
    reporter = commands.add_parser("report", help="what a journal (-pc_sorlearn_journal) says")
    reporter.add_argument("journal")
    reporter.add_argument("--picture", help="also save a picture under this name")
    given = parser.parse_args(arguments)
    if given.command == "report":
        show(given.journal, given.picture)
    elif given.command == "options":
        from . import options

        for table in options.TABLES:
            print(options.help_text("", table))
    elif given.command == "doctor":
        text, well = doctor.examine(given.python)
        print(text)
        raise SystemExit(0 if well else 1)
    else:
        print({"flags": flags, "petscrc": petscrc}[given.command](given.python))


if __name__ == "__main__":
    main()
