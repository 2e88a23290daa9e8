import re
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
# Read, not imported: whoever builds the package need not have petsc4py.
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "sorlearn/__init__.py").read_text(), re.M).group(1)


class Build(build_py):
    """Compiles fast.c, too, where there are petsc4py, a compiler and PETSc's headers; sorlearn works without."""

    def run(self):
        super().run()
        command = [sys.executable, HERE / "sorlearn/petsc/build.py", Path(self.build_lib, "sorlearn/petsc").resolve()]
        subprocess.run(command, check=False)


class Compiled(Distribution):
    """Not for every machine, though there is no extension module."""

    def has_ext_modules(self):
        return True


setup(
    name="sorlearn",
    cmdclass={"build_py": Build},
    distclass=Compiled,
    version=VERSION,
    description="A PETSc preconditioner that learns SOR's relaxation factor while a simulation runs",
    packages=find_packages(include=["sorlearn", "sorlearn.*"]),
    package_data={"sorlearn": ["petscrc", "petscrc-python", "petsc/fast.c"]},
    python_requires=">=3.9",
    install_requires=["numpy", "scipy"],
    extras_require={
        "plot": ["matplotlib"],
        "docs": ["sphinx", "numpydoc"],
        "dev": ["pytest", "hypothesis", "ruff", "mypy"],
    },
)
