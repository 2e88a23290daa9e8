"""Messages between the ranks of one solver."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import run

pytestmark = pytest.mark.parallel(1, 2, 3)


def world():
    from petsc4py import PETSc

    from sorlearn.petsc.collective import Comm

    return PETSc.COMM_WORLD, Comm(PETSc.COMM_WORLD)


def test_everybody_gets_the_values_of_rank_0():
    petsc, comm = world()
    assert (comm.size, comm.root) == (petsc.size, petsc.rank == 0)
    values = np.array([1.5, -2.0]) + 10.0 * petsc.rank
    comm.share(values)
    assert values.tolist() == [1.5, -2.0]


def test_largest_of_each_element():
    petsc, comm = world()
    mine = np.array([float(petsc.rank), -float(petsc.rank), 0.5])
    assert comm.largest(mine).tolist() == [petsc.size - 1.0, 0.0, 0.5]
    assert mine[0] == petsc.rank  # left alone


def test_members_are_ranks_of_the_world():
    from petsc4py import PETSc

    from sorlearn.petsc.collective import Comm

    petsc, comm = world()
    assert comm.members == (tuple(range(petsc.size)) if petsc.size > 1 else ())
    if petsc.size < 3:
        return
    part = PETSc.COMM_WORLD.tompi4py().Split(petsc.rank > 0)
    petsc_part = PETSc.Comm(part)
    assert Comm(petsc_part).members == ((1, 2) if petsc.rank else ())
    part.Free()


def test_one_rank_needs_no_mpi4py(nprocs):
    if nprocs > 1:
        return
    code = (
        "import sys; sys.modules['mpi4py'] = None\n"
        "import numpy as np\n"
        "from petsc4py import PETSc\n"
        "from sorlearn.petsc.collective import Comm\n"
        "comm = Comm(PETSc.COMM_WORLD)\n"
        "values = np.array([2.0]); comm.share(values)\n"
        "print(comm.largest(values), comm.members)"
    )
    assert run(1, sys.executable, "-c", code).stdout == "[2.] ()\n"
