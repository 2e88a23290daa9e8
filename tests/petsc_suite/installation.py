"""Where PETSc's examples are, and how to compile them."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

#: Debian's package of examples puts those of a version of PETSc here.
_EXAMPLES = Path("/usr/share/petsc")
_RECORDER = Path(__file__).with_name("recorder.c")


class Missing(Exception):
    """PETSc, its examples or petsc4py isn't installed; the message says what."""


class Installation(NamedTuple):
    """A PETSc with its examples.

    Attributes
    ----------
    prefix : Path
        PETSC_DIR of the tests: the folder that `share/petsc` is in.
    macros : frozenset of str
        Macros that its configuration defines.
    flags : tuple of str
        For compiling and linking against it.
    build : Path
        Folder for programs.
    """

    prefix: Path
    macros: frozenset[str]
    flags: tuple[str, ...]
    build: Path

    @property
    def sources(self) -> Path:
        """Folder that the examples' folders, as ``ksp/ksp/tutorials``, are in."""
        return self.prefix / "share/petsc/examples/src"

    def compiled(self, source: Path) -> Path | None:
        """The program of an example, compiled if need be; None if it doesn't compile."""
        words = source.relative_to(self.sources).with_suffix("").parts
        program = self.build / "programs" / "_".join(words)
        failed = program.with_suffix(".failed")
        if not program.exists() and not failed.exists():
            compiler = "mpicc" if source.suffix == ".c" else "mpicxx"
            try:
                _compile(compiler, "-O1", "-w", f"-I{source.parent}", source, *self.flags, "-lm", to=program)
            except subprocess.CalledProcessError as error:
                failed.write_text(error.stderr)
        return program if program.exists() else None

    def recorder(self) -> Path:
        """The library to preload, compiled anew if its source has changed."""
        library = self.build / "recorder.so"
        if not library.exists() or library.stat().st_mtime < _RECORDER.stat().st_mtime:
            _compile("mpicc", "-O1", "-shared", "-fPIC", _RECORDER, *self.flags, "-ldl", to=library)
        return library


def _compile(*command: str | Path, to: Path) -> None:
    """Compile to a file that appears when it is complete, as several may want it at once."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        made = Path(folder) / to.name
        subprocess.run([*command, "-o", made], check=True, capture_output=True, text=True, errors="replace")
        os.replace(made, to)


def _pkg_config(*flags: str) -> str:
    try:
        return subprocess.run(
            ["pkg-config", *flags, "PETSc"], check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Missing("pkg-config finds no PETSc (PKG_CONFIG_PATH?)") from error


def find(build: Path) -> Installation:
    """The PETSc that pkg-config finds, with its examples; raises Missing.

    Programs go to `build`, in a folder of this version.
    """
    if importlib.util.find_spec("petsc4py") is None:
        raise Missing(f"{sys.executable} has no petsc4py")
    version = _pkg_config("--modversion")
    prefix = _EXAMPLES / ".".join(version.split(".")[:2])
    if not (prefix / "share/petsc/examples/config/testparse.py").exists():
        raise Missing(f"the examples of PETSc {version} aren't installed (Debian: libpetsc3.x-dev-examples)")
    configuration = Path(_pkg_config("--variable=includedir"), "petscconf.h").read_text()
    return Installation(
        prefix,
        frozenset(re.findall(r"#define (PETSC_\w+)", configuration)),
        tuple(shlex.split(_pkg_config("--cflags", "--libs"))),
        build / version,
    )
