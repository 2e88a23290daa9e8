import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
# Read, not imported: whoever builds the package need not have petsc4py.
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "sorlearn/__init__.py").read_text(), re.M).group(1)

setup(
    name="sorlearn",
    version=VERSION,
    description="A PETSc preconditioner that learns SOR's relaxation factor while a simulation runs",
    packages=find_packages(include=["sorlearn", "sorlearn.*"]),
    package_data={"sorlearn": ["petscrc", "petscrc-python"]},
    python_requires=">=3.9",
    install_requires=["numpy", "scipy"],
    extras_require={
        "plot": ["matplotlib"],
        "docs": ["sphinx", "numpydoc"],
        "dev": ["pytest", "hypothesis", "ruff", "mypy"],
    },
)
