"""Will sorlearn work here?  The Python that PETSc loads is asked, which need not be the one that asks."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import __version__

#: Asks by itself: what only this folder has, an application that starts elsewhere doesn't find.
PROBE = Path(__file__).parent / "petsc" / "probe.py"
#: What each package is needed for beyond the first solve; the others are needed for that.
OPTIONAL = {"fast.c": "short solves", "mpi4py": "more than one rank", "matplotlib": "pictures"}
REMEDIES = {
    "petsc4py": "Debian: apt install python3-petsc4py petsc-dev; elsewhere: petsc4py for the application's PETSc; or "
    "put a python3 that has it first on PATH",
    "fast.c": "a C compiler and PETSc's headers (Debian: apt install gcc petsc-dev), and the command above",
    "sorlearn": f"export PYTHONPATH={shlex.quote(str(Path(__file__).resolve().parent.parent))}"
    "${PYTHONPATH:+:$PYTHONPATH}, or install it as README says",
}


def ask(python: str) -> dict[str, Any]:
    """What a Python has: package → (whether it loads, version or error).

    Raises
    ------
    RuntimeError
        If it doesn't start, or crashes.
    """
    try:
        run = subprocess.run([python, PROBE], capture_output=True, text=True, errors="replace", timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(str(error)) from None
    for line in reversed(run.stdout.splitlines()):  # others may say something, too
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and "version" in found:
                return found
    lines = run.stderr.strip().splitlines() or ["it doesn't say what it has"]
    raise RuntimeError(f"exit status {run.returncode}: {lines[-1]}")


def examine(running: bool = False) -> tuple[str, bool]:
    """What sorlearn needs, and whether it is there.

    Parameters
    ----------
    running : bool
        Whether to ask about programs of the Python that is running, instead of those that load one.

    Returns
    -------
    (str, bool)
        The findings, a line each, and whether sorlearn will work.
    """
    python = sys.executable if running else shutil.which("python3")
    whose = "this Python" if running else "the Python that PETSc loads, the first python3 on PATH"
    title = f"sorlearn {__version__}\n{whose}: {python or 'none'}"
    if not python:
        return f"{title}\nremedy: install Python 3", False
    try:
        found = ask(python)
    except RuntimeError as error:
        return f"{title}\nit can't be used: {error}", False
    lines = [f"{title}, version {found.pop('version')}, packages under {found.pop('prefix')}"]
    lines += [_line(name, *answer) for name, answer in found.items()]
    lines += _surroundings(running)
    return "\n".join(lines), all(there for name, (there, _) in found.items() if name not in OPTIONAL)


def _line(name: str, there: bool, said: str) -> str:
    why = f" (needed for {OPTIONAL[name]})" if name in OPTIONAL else ""
    if there:
        return f"  {name}: {said}{why}"
    remedy = REMEDIES.get(name, f"Debian: apt install python3-{name}; elsewhere: python3 -m pip install {name}")
    return f"  {name}: missing{why}: {said}\n    remedy: {remedy}"


def _surroundings(running: bool) -> list[str]:
    """What else decides which Python and which MPI run."""
    lines = []
    home, mpiexec = os.environ.get("PYTHONHOME"), shutil.which("mpiexec")
    if home:
        lines.append(f"PYTHONHOME={home} decides where Python's packages come from; without it PATH does")
    if os.environ.get("SORLEARN_FAST") == "0":
        lines.append("SORLEARN_FAST=0 leaves fast.c out; without it short solves take less")
    lines.append(f"mpiexec: {_version(mpiexec) if mpiexec else 'none'}; it must be of the MPI that the program uses")
    if not running:
        lines.append("another Python: PETSc 3.26 takes -python /path/to/python3, PETSc 3.18 PATH or PYTHONHOME only")
        lines.append("programs that are Python already: python3 -m sorlearn doctor --python")
    return lines


def _version(mpiexec: str) -> str:
    try:
        text = subprocess.run([mpiexec, "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        text = ""
    words = " ".join(" ".join(text.splitlines()[:2]).split())
    return f"{mpiexec} ({words})" if words else mpiexec
