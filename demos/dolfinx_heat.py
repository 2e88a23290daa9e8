"""Heat in DOLFINx with a conductivity that comes and goes; each step has a LinearProblem, KSP and prefix of its own.

mpiexec -n 2 python3 dolfinx_heat.py          PETSc's SOR with ω = 1
mpiexec -n 2 python3 dolfinx_heat.py learn    the same with a learned ω
"""

import sys

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem.petsc import LinearProblem
from mpi4py import MPI
from petsc4py import PETSc

N = 64  # intervals in each direction
STEPS = 100
DT = 1e-2
NATIVE = {"pc_type": "sor"}
LEARNED = {"pc_type": "python", "pc_python_type": "sorlearn.PC"}


def conductivity(t):
    return 10.0 ** (2 * np.sin(2 * np.pi * t) - 1)


def main(quick=False, learn=False):
    n, steps = (24, 30) if quick else (N, STEPS)
    domain = mesh.create_unit_square(MPI.COMM_WORLD, n, n)
    V = fem.FunctionSpace(domain, ("Lagrange", 1))
    facets = mesh.locate_entities_boundary(domain, 1, lambda x: np.full(x.shape[1], True))
    bc = fem.dirichletbc(PETSc.ScalarType(0), fem.locate_dofs_topological(V, 1, facets), V)
    u_old = fem.Function(V)
    u_old.interpolate(lambda x: np.sin(np.pi * x[0]) * np.sin(np.pi * x[1]))
    s = fem.Constant(domain, PETSc.ScalarType(0))
    u, v, x = ufl.TrialFunction(V), ufl.TestFunction(V), ufl.SpatialCoordinate(domain)
    a = (u * v + s * ufl.dot(ufl.grad(u), ufl.grad(v))) * ufl.dx
    b = (u_old + DT * ufl.exp(-10 * x[0])) * v * ufl.dx
    options = {"ksp_type": "cg", "ksp_rtol": 1e-8, "ksp_norm_type": "unpreconditioned"}
    iterations = 0
    for step in range(steps):
        s.value = DT * conductivity((step + 0.5) * DT)
        problem = LinearProblem(a, b, bcs=[bc], petsc_options={**options, **(LEARNED if learn else NATIVE)})
        u_old.x.array[:] = problem.solve().x.array
        if problem.solver.getConvergedReason() < 0:
            raise RuntimeError(f"step {step + 1}: no convergence, reason {problem.solver.getConvergedReason()}")
        iterations += problem.solver.getIterationNumber()
    heat = domain.comm.allreduce(fem.assemble_scalar(fem.form(u_old * ufl.dx)))
    if domain.comm.rank == 0:
        print(f"{steps} steps, {iterations} iterations, heat {heat:.8f}")
    return {"iterations": iterations, "heat": float(heat)}


if __name__ == "__main__":
    main(learn="learn" in sys.argv)
