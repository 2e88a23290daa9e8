"""Every option of sorlearn, in one table a solver: the fields of `Settings`, `LagSettings` and `ArmSettings`.

From them come the options database's reader, `-help`, the checks and their messages, and the table in docs/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Callable

from .errors import OptionError
from .learners import LEARNERS, Space, learner_class
from .tuning.cost import COSTS

STEM = "pc_sorlearn_"


def _relaxation(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 2.0:
        raise ValueError
    return value


def _number(text: str) -> float:
    value = float(text)
    if not abs(value) < float("inf"):
        raise ValueError
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _switch(text: str) -> bool:
    words = {"": True, "1": True, "true": True, "yes": True, "on": True,
             "0": False, "false": False, "no": False, "off": False}  # fmt: skip
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _names(text: str) -> str:
    if not all(name.strip() for name in text.split(",")):
        raise ValueError
    return text


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError
    return value


def _arms(text: str) -> str:
    names = text.split(",")
    if not all(re.fullmatch(r"[A-Za-z]\w*", name) for name in names) or len(set(names)) < len(names):
        raise ValueError
    return text


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    return check


def _option(default: Any, check: Callable[[str], Any], allowed: str, help: str) -> Any:
    return field(default=default, metadata={"check": check, "allowed": allowed, "help": help})


def _choice(names: tuple[str, ...], help: str) -> Any:
    return _option(names[0], _one_of(names), "one of " + ", ".join(names), help)


_OPEN = "a number strictly between 0 and 2"


@dataclass(frozen=True)
class Settings:
    """The options of one solver; field `x` is option `-<prefix>pc_sorlearn_x`."""

    learner: str = _choice(tuple(LEARNERS), "who chooses omega")
    pc_type: str = _choice(
        ("sor", "eisenstat"), "what is applied: SOR, or symmetric SOR in Eisenstat's form, to the true residual"
    )
    omega: float = _option(
        1.0, _relaxation, _OPEN, "omega of `fixed`; the safe omega that others start from and fall back to"
    )
    omega_min: float | None = _option(None, _relaxation, _OPEN, "least omega (default: the learner's)")
    omega_max: float | None = _option(None, _relaxation, _OPEN, "largest omega (default: the learner's)")
    num_omegas: int = _option(20, _count, "a whole number from 1", "arms of the learners that use a grid")
    cost: str = _choice(tuple(COSTS), "what is minimised; work = effort per digit of what the user's test asks for")
    context: str = _choice(("auto", "none", "user"), "where the context comes from if none is assigned")
    context_min: float | None = _option(None, _number, "a finite number", "least value of a user's context")
    context_max: float | None = _option(None, _number, "a finite number", "largest value of a user's context")
    context_bins: int = _option(5, _count, "a whole number from 1", "bins of tsallis_inf_cb")
    context_option: str | None = _option(
        None, _names, "the name of an option, or several with commas between them",
        "options whose numbers are the user's context, read before each solve",
    )
    group: str | None = _option(None, _text, "a name", "solvers of one group share one learner")
    seed: int = _option(0, _natural, "a whole number from 0", "same seed and same feedback, same choices")
    monitor: bool = _option(False, _switch, "true or false", "a line a solve")
    journal: str | None = _option(None, _text, "a file name", "append a JSON line a solve to this file")
    save: str | None = _option(None, _text, "a file name", "save what was learned, every 500 solves and at the end")
    load: str | None = _option(None, _text, "a file name", "go on learning from what was saved")
    summary: bool = _option(False, _switch, "true or false", "a table at the end of the run")

    @property
    def asks_true(self) -> bool:
        """Whether the true residual is what the user is taken to have asked for."""
        return self.pc_type == "eisenstat"

    @property
    def omega_of_test(self) -> float | None:
        """The omega whose own test is the user's: the safe one, or none where the true residual is asked for."""
        return None if self.asks_true else self.omega

    @property
    def reads_matrix(self) -> bool:
        """Whether the learner is told features of the matrix where the user gives no context."""
        return self.context == "auto" and learner_class(self.learner).reads_matrix

    def space(self) -> Space:
        """What the learner may choose from."""
        low, high = learner_class(self.learner).default_range
        return Space(
            omega=self.omega,
            omega_min=low if self.omega_min is None else self.omega_min,
            omega_max=high if self.omega_max is None else self.omega_max,
            num_omegas=self.num_omegas,
            context_min=self.context_min,
            context_max=self.context_max,
            context_bins=self.context_bins,
            least=1.0 if self.cost == "iterations" else 0.0,
        )


@dataclass(frozen=True)
class LagSettings:
    """The options of one `sorlearn.Lag`; field `x` is option `-<prefix>lag_x`."""

    solves: int = _option(0, _natural, "a whole number from 0", "set up after so many solves; 0: while it pays")
    monitor: bool = _option(False, _switch, "true or false", "a line a solve")
    journal: str | None = _option(None, _text, "a file name", "append a JSON line a solve to this file")
    summary: bool = _option(False, _switch, "true or false", "at the end of the run, set-ups and what was saved")


@dataclass(frozen=True)
class ArmSettings:
    """The options of the arms of one `sorlearn.KSP`; field `x` is option `-<prefix>sorlearn_x`."""

    arms: str | None = _option(
        None, _arms, "different names with commas between them, or auto",
        "whole solvers to choose among, the first of them the safe one; their options follow sorlearn_<name>_",
    )
    arms_share: float = _option(0.04, _share, "a number from 0 to 1", "share of the time that trials may cost")
    arms_monitor: bool = _option(False, _switch, "true or false", "a line a solve")
    arms_journal: str | None = _option(None, _text, "a file name", "append a JSON line a solve to this file")
    arms_save: str | None = _option(None, _text, "a file name", "save what was learned, now and then and at the end")
    arms_load: str | None = _option(None, _text, "a file name", "go on learning from what was saved")
    arms_summary: bool = _option(False, _switch, "true or false", "at the end of the run, a table by arm and an advice")


#: What stands between a solver's prefix and an option's name, and what `-help` says above the options.
TABLES: dict[Any, tuple[str, str]] = {
    Settings: (STEM, "sorlearn: PETSc's SOR with a learned relaxation factor"),
    LagSettings: ("lag_", "sorlearn.Lag: any PC (-lag_pc_type), whose set-up is kept while that pays"),
    ArmSettings: ("sorlearn_", "sorlearn.KSP: whole solvers (-sorlearn_arms), of which the cheapest is learned"),
}


def parse(prefix: str, given: Callable[[str], str | None], overrides: dict[str, Any], table: Any = Settings) -> Any:
    """Settings from an options database, over those given in code.

    Parameters
    ----------
    prefix : str
        Prefix of the solver, for messages.
    given : callable
        Maps an option's name (without prefix and dash) to its text, or None where it isn't given.
    overrides : dict
        Values given in code; the database wins over them.
    table : type
        Settings, LagSettings or ArmSettings: whose options these are, and what is returned.

    Raises
    ------
    OptionError
        Naming the option with its prefix, the value and what is allowed.
    """
    unknown = set(overrides) - {f.name for f in fields(table)}
    if unknown:
        raise OptionError(f"sorlearn has no option {sorted(unknown)[0]!r}; `python3 -m sorlearn options` lists them")
    values: dict[str, Any] = {}
    stem, _ = TABLES[table]
    for option in fields(table):
        text = given(stem + option.name)
        if text is None and overrides.get(option.name) is not None:
            text = str(overrides[option.name])
        if text is not None:
            values[option.name] = _checked(prefix + stem, option, text)
    settings = table(**values)
    if isinstance(settings, Settings):
        _check_together(prefix, settings)
    return settings


def _checked(stem: str, option: Any, text: str) -> Any:
    try:
        return option.metadata["check"](text)
    except ValueError:
        allowed = option.metadata["allowed"]
        raise OptionError(f"-{stem}{option.name} {text!r}: must be {allowed}") from None


def _check_together(prefix: str, settings: Settings) -> None:
    space = settings.space()
    name = f"-{prefix}{STEM}"
    if space.omega_min > space.omega_max:
        raise OptionError(
            f"{name}omega_min {space.omega_min:g}: must not exceed {name}omega_max, which is {space.omega_max:g}"
        )
    low, high = space.context_min, space.context_max
    if learner_class(settings.learner).needs_context_range and (low is None or high is None):
        missing = "context_min" if low is None else "context_max"
        raise OptionError(
            f"{name}{missing} is missing: learner {settings.learner} needs the range of the context, "
            f"{name}context_min and {name}context_max"
        )
    if low is not None and high is not None and not low < high:
        raise OptionError(f"{name}context_min {low:g}: must be less than {name}context_max, which is {high:g}")


def context_value(prefix: str, option: str, text: str) -> float:
    """A number of the user's context, from an option that `-pc_sorlearn_context_option` names.

    Parameters
    ----------
    prefix : str
        Prefix of the solver, for messages.
    option : str
        Name of the option, as the user gave it.
    text : str
        Its value; empty where it is missing.

    Raises
    ------
    OptionError
        Naming both options and the remedy, unless the value is a finite number.
    """
    try:
        return _number(text)
    except ValueError:
        found = f"is {text!r}, not a finite number" if text else "is missing or has no value"
        name = option.lstrip("-")
        raise OptionError(
            f"-{prefix}{STEM}context_option {option}: -{name} {found}; remedy: put it into the options database before "
            "each solve (PetscOptionsSetValue)"
        ) from None


def help_text(prefix: str, table: Any = Settings) -> str:
    """What `-help` prints for one solver."""
    stem, title = TABLES[table]
    lines = [title]
    for option in fields(table):
        lines.append(f"  -{prefix}{stem}{option.name} <{option.default}>: {option.metadata['help']}"
                     f" ({option.metadata['allowed']})")  # fmt: skip
    return "\n".join(lines)
