"""Compiles fast.c for the PETSc of the Python that runs this, which need not be sorlearn's own.

    python3 build.py [FOLDER]

Like the doctor's probe it imports nothing of sorlearn, so that an installation can run it before there is one.
"""

import re
import shlex
import subprocess
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "fast.c"


def library_name(PETSc):
    """File name of what is compiled for this PETSc: version and kinds of numbers, and of which fast.c.

    Without a fast.c it is the one that is there.
    """
    version = ".".join(map(str, PETSc.Sys.getVersion()))
    stem = f"fast-{version}-{PETSc.ScalarType.__name__}-{PETSc.IntType.__name__}"
    if SOURCE.exists():
        return f"{stem}-{zlib.crc32(SOURCE.read_bytes()):08x}.so"
    return next((path.name for path in sorted(SOURCE.parent.glob(f"{stem}-*.so"))), f"{stem}.so")


def build(folder=HERE):
    """Compile into a folder; returns the file's path.

    Raises
    ------
    Exception
        Of any kind, where there is no petsc4py, no compiler, or no PETSc to compile against.
    """
    import petsc4py
    import petsc4py.lib

    config = petsc4py.get_config()
    PETSc = petsc4py.lib.ImportPETSc()  # not initialised: that may need an MPI that is running
    home = Path(config["PETSC_DIR"], config.get("PETSC_ARCH") or "")
    variables = dict(re.findall(r"^(\w+) *= *(.*)$", (home / "lib/petsc/conf/petscvariables").read_text(), re.M))
    target = Path(folder) / library_name(PETSc)
    words = shlex.split(variables["PETSC_CC_INCLUDES"]) + [f"-I{home}/include", f"-I{config['PETSC_DIR']}/include"]
    libraries = [f"-L{home}/lib", f"-Wl,-rpath,{home}/lib", *shlex.split(variables["PETSC_LIB_BASIC"])]
    command = [*shlex.split(variables["CC"]), "-O2", "-shared", "-fPIC", "-Werror=incompatible-pointer-types", *words,
               SOURCE, "-o", target, *libraries]  # fmt: skip
    compiled = subprocess.run(command, capture_output=True, text=True)
    if compiled.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))}\n{compiled.stderr}")
    for older in Path(folder).glob(f"{target.stem[:-9]}*.so"):
        if older != target:
            older.unlink()
    return target


if __name__ == "__main__":
    try:
        print(build(*sys.argv[1:]))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
