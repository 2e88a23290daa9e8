"""What the Python that runs this file has, as one line of JSON: run by sorlearn's doctor, imported by nobody.

Any Python from 3.6 must understand it, and it imports nothing of sorlearn that isn't there for everybody.
"""

import ctypes
import json
import os
import sys
from importlib import import_module
from shlex import quote


def version(name):
    """Version of a package that loads."""
    return import_module(name).__version__


def petsc():
    """Version and kind of numbers; not initialised, or -python in PETSC_OPTIONS would load a second Python."""
    import petsc4py.lib

    PETSc = petsc4py.lib.ImportPETSc()
    numbers = PETSc.Sys.getVersion()
    return "PETSc {}.{}.{}, {}, {}".format(*numbers, PETSc.ScalarType.__name__, PETSc.IntType.__name__)


def mpi():
    """The MPI that mpi4py has loaded; not initialised."""
    import mpi4py

    mpi4py.rc.initialize = False
    from mpi4py import MPI

    return MPI.Get_library_version().splitlines()[0].split(",")[0]


def sorlearn():
    """Version and folder."""
    module = import_module("sorlearn")
    return f"{module.__version__} in {list(module.__path__)[0]}"


def fast():
    """The library that repeats decisions without Python."""
    import petsc4py.lib

    build = import_module("sorlearn.petsc.build")
    PETSc = petsc4py.lib.ImportPETSc()
    path, command = build.HERE / build.library_name(PETSc), "python3 " + quote(str(build.HERE / "build.py"))
    if not path.exists():
        raise FileNotFoundError(f"no {path.name}; {command} compiles it")
    try:
        version = (ctypes.c_int64 * 3).in_dll(ctypes.PyDLL(str(path)), "sorlearn_built_for")
    except (OSError, ValueError) as error:
        raise RuntimeError(f"{path.name} can't be loaded: {error}; {command} compiles it anew") from None
    if tuple(version) != PETSc.Sys.getVersion():
        raise RuntimeError(f"{path.name} was compiled for something else; {command} compiles it anew")
    return path.name


def main():
    """Ask each, in this order: (whether it loads, what it says)."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if folder != here]
    found = {"version": sys.version.split()[0], "prefix": sys.prefix}
    questions = {"numpy": version, "scipy": version, "petsc4py": petsc, "sorlearn": sorlearn, "fast.c": fast,
                 "mpi4py": mpi, "matplotlib": version}  # fmt: skip
    for name, question in questions.items():
        try:
            found[name] = (True, question(name) if question is version else question())
        except Exception as error:
            found[name] = (False, f"{type(error).__name__}: {error}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
