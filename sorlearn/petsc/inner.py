"""Making an inner KSP, by options of its own and by those that it is lent."""

from __future__ import annotations

from typing import Any

from petsc4py import PETSc

from .database import all_options, clear_value, is_used, set_value, value_of

#: Options of the outer KSP that don't concern the iteration, or that the outer KSP takes care of.
_OUTER = ("type", "python_type", "monitor", "view", "converged_reason", "converged_rate", "error_if_not_converged",
          "guess", "knoll", "norm_type", "pc_side", "diagonal_scale")  # fmt: skip


def new_inner(ksp: Any, pc: Any, arm: str = "") -> Any:
    """An inner KSP with this PC, configured by its own options and, where it has none, by others'."""
    prefix = ksp.getOptionsPrefix() or ""
    inner, own = PETSc.KSP().create(ksp.comm), f"{prefix}sorlearn_"
    inner.incrementTabLevel(1, parent=ksp)
    lenders = [(f"{prefix}ksp_", _OUTER)]
    if arm:
        lenders.insert(0, (f"{own}ksp_", ()))
        own += f"{arm}_"
    inner.setOptionsPrefix(own)
    if not arm:
        inner.setPC(pc)
    try:
        _set_from(inner, own, lenders)
    except Exception:  # the caller's; what is half made would stay
        inner.destroy()
        raise
    if arm:  # whose PC has been set from options already, with a prefix of its own
        inner.setPC(pc)
    return inner


def _set_from(inner: Any, own: str, lenders: list[tuple[str, tuple[str, ...]]]) -> None:
    """Configure the inner KSP by its own options and, where it has none, by the first lender's that has.

    A lender is a prefix of options, and beginnings of those that it doesn't lend.
    """
    lent = []
    for prefix, kept in lenders:
        for name, value in all_options().items():
            option = name[len(prefix) :]
            if name.startswith(prefix) and not (kept and option.startswith(kept)):
                if value_of(f"{own}ksp_{option}") is None:
                    set_value(f"{own}ksp_{option}", value)
                    lent.append((f"{own}ksp_{option}", name))
    try:
        inner.setFromOptions()
    finally:
        for option, name in lent:
            if is_used(option):
                value_of(name)  # so that -options_left doesn't list it
            clear_value(option)
