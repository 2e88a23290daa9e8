"""Names of files as PETSc has them: in UTF-8, whatever the locale of the Python that it has loaded."""

from __future__ import annotations


def encoded(path: str) -> bytes:
    """The path for the system; in the C locale a Python inside an application would take ASCII alone."""
    return path.encode("utf-8", "surrogateescape")
