"""No learning: the same ω in every solve."""

from .base import Choice, Context, Learner


class Fixed(Learner):
    """Chooses ``space.omega`` always, whatever the solves cost; regret grows linearly unless that is the best ω.

    Losses: anything.

    Examples
    --------
    >>> learner = Fixed(seed=1)
    >>> print(learner.choose().omega)
    1.0
    """

    name = "fixed"
    context_numbers = 0
    learns = False

    def _choose(self, context: Context) -> Choice:
        return Choice(self.space.omega, context=context)

    def _update(self, choice: Choice, loss: float) -> None:
        pass
