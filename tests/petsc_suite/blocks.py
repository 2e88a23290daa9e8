"""The TEST blocks at the end of PETSc's examples, read by PETSc's own parser."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .installation import Installation

#: More ranks than that are left out; of all values of ``{{a b c}}``, this many combinations are run.
MOST_RANKS, MOST_VALUES = 4, 6
#: What a test may require that isn't a package, as Debian's PETSc has it.
_PRECISION = {"double": True, "c99": True, "c++11": True, "cxx": True, "single": False, "complex": False}
_NOT_HERE = ("__float128", "__fp16", "cuda", "define", "datafilespath", "saws", "x")
_LOOP = r"\{\{(.*?)\}(?:shared output|separate output)?\}"


class Test(NamedTuple):
    """One way of running an example.

    Attributes
    ----------
    folder : str
        Of its source, as ``"ksp/ksp/tutorials"``.
    source : str
        Name of the source.
    block : str
        PETSc's name for the test, as ``"runex2_4"``.
    name : str
        This name and, where the block has several sets of arguments, ``#2`` and so on.
    arguments : str
        Command line, as for a shell.
    ranks : int
        Number of ranks.
    """

    folder: str
    source: str
    block: str
    name: str
    arguments: str
    ranks: int


def _parser(installation: Installation) -> ModuleType:
    """PETSc's testparse, which must be able to import its neighbours; nothing is written to its folder."""
    folder = str(installation.prefix / "share/petsc/examples/config")
    kept = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("testparse")
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = kept


def _has(requirement: str, macros: frozenset[str]) -> bool:
    """Whether one word of ``requires:`` is met, without its ``!``."""
    defined = re.fullmatch(r"defined\((\w+)\)", requirement)
    if defined:
        return defined[1] in macros
    if requirement.lower() in _NOT_HERE:
        return False
    return _PRECISION.get(requirement, f"PETSC_HAVE_{requirement.upper()}" in macros)


def met(requires: str, macros: frozenset[str]) -> bool:
    """Whether all that a test requires is there."""
    return all(_has(word.lstrip("!"), macros) != word.startswith("!") for word in requires.split())


def values(text: str) -> list[str]:
    """All values of a text with loops, at most `MOST_VALUES`.

    >>> values("-n {{1 2}} -m {{3 4}separate output}")
    ['-n 1 -m 3', '-n 1 -m 4', '-n 2 -m 3', '-n 2 -m 4']
    """
    parts = re.split(f"({_LOOP.replace('(.*?)', '.*?')})", text)
    loops = [re.fullmatch(_LOOP, part) for part in parts]
    choices = [loop[1].split() if loop else [part] for loop, part in zip(loops, parts)]
    return ["".join(choice) for choice in itertools.islice(itertools.product(*choices), MOST_VALUES)]


def _runs(block: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Arguments and number of ranks of all that a block asks for."""
    common = block.get("args", "")
    alternatives = [f"{common} {block[name].get('args', '')}" for name in block.get("subtests", ())] or [common]
    for alternative in alternatives:
        for arguments in values(alternative):
            for ranks in values(str(block.get("nsize", "1"))):
                if "DATAFILESPATH" not in arguments and int(ranks) <= MOST_RANKS:
                    yield " ".join(arguments.split()), int(ranks)


def tests(installation: Installation, source: Path) -> list[Test]:
    """What can be run here of the tests in a source file; those with scripts or environments of their own can't."""
    found, folder = [], str(source.parent.relative_to(installation.sources))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it can't read, and raises
        try:
            parsed = _parser(installation).parseTestFile(str(source), 0)
        except Exception:
            return []
    for name, block in next(iter(parsed.values()), {}).items():
        usable = isinstance(block, dict) and name != "build" and not {"script", "TODO", "SKIP", "env"} & set(block)
        if usable and met(block.get("requires", ""), installation.macros):
            for number, (arguments, ranks) in enumerate(_runs(block), 1):
                title = f"{name}#{number}" if number > 1 else name
                found.append(Test(folder, source.name, name, title, arguments, ranks))
    return found
