"""sorlearn: PETSc's SOR with a relaxation factor that is learned while the simulation runs."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["KSP", "Lag", "PC", "attach"]


def __getattr__(name: str) -> Any:
    """Import PETSc's side only when it is asked for: importing sorlearn initialises neither PETSc nor MPI."""
    if name == "PC":
        from .petsc.pc import PC

        return PC
    if name == "KSP":
        from .petsc.ksp import KSP

        return KSP
    if name == "Lag":
        from .petsc.lag import Lag

        return Lag
    raise AttributeError(f"module 'sorlearn' has no attribute {name!r}")


def create(solver: Any) -> None:
    """Put the class in the place of this module, for PETSc, which calls this where a type is just `sorlearn`.

    Parameters
    ----------
    solver : petsc4py.PETSc.PC or petsc4py.PETSc.KSP
        Whose `-pc_python_type` or `-ksp_python_type` it is.
    """
    solver.setPythonContext(__getattr__(type(solver).__name__)())


def attach(ksp: Any, *, context: Any = None, **options: Any) -> Any:
    """Let a petsc4py KSP learn its ω, instead of by flags.  Collective.

    Parameters
    ----------
    ksp : petsc4py.PETSc.KSP
        The solver; options in the database for its prefix win over those given here.
    context : (float, float) or callable, optional
        Range of a user's context, whose values are then assigned to `context` of the result; or a function without
        arguments that returns the value or several, for instance ``ts.getTimeStep``.
    **options
        Any option by its name without `pc_sorlearn_`: ``learner="chebcb"``, ``omega_max=1.9``, ...

    Returns
    -------
    PC
        The preconditioner: its `omega`, `records` and `context` tell and steer what it does.

    Raises
    ------
    OptionError
        If an option has a value it can't have.
    """
    from .errors import OptionError
    from .petsc.pc import PC

    if not (context is None or callable(context) or (isinstance(context, tuple) and len(context) == 2)):
        raise OptionError(f"context {context!r} must be (least, most) or a function without arguments")
    if isinstance(context, tuple):
        options = {"context_min": context[0], "context_max": context[1], **options}
    tuner = PC(options)
    if callable(context):
        tuner.context = context
    pc = ksp.getPC()
    pc.setType("python")
    pc.setPythonContext(tuner)
    tuner.setFromOptions(pc)
    return tuner
