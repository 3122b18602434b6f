"""How often a requirement holds where nothing is: counted with what stayed undecided beside."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from harness import stats
from harness.calibration.rates import rate
from harness.verdicts.evidence import Evidence, State
from harness.verdicts.judge import Inconclusive

CLEAN = 368  # tries without an error: the upper bound is below .01
FAULTS, BEFORE = 3, 200  # so many errors in fewer tries are 1.5 % or more
LEVELS = (0.01, 0.05)  # shares of p at or below these are counted
FEWEST_P = 8  # that a distribution is made of

Draw = TypeVar("Draw")
Name = TypeVar("Name", bound=Hashable)


def enough(errors: int, tries: int, clean: int = CLEAN) -> bool:
    """Whether more tries are not needed: there was no error in many, or too many in few.

    Args:
        errors: So far.
        tries: So far.
        clean: Tries without an error that are enough.
    """
    return (not errors and tries >= clean) or (errors >= FAULTS and tries < BEFORE)


@dataclass(frozen=True, slots=True)
class Tally:
    """Tries by what came out; one that held is an error where nothing is to be found."""

    held: int = 0
    failed: int = 0
    undecided: int = 0

    @property
    def tries(self) -> int:
        """All of them."""
        return self.held + self.failed + self.undecided

    def plus(self, state: State) -> "Tally":
        """With one more try."""
        return Tally(
            self.held + (state is State.HELD),
            self.failed + (state is State.FAILED),
            self.undecided + (state is State.UNDECIDED),
        )

    def to_json(self) -> dict[str, Any]:
        """Errors among the tries that decided, and among all, with exact intervals."""
        return {
            **rate(self.held, self.held + self.failed),
            "undecided": self.undecided,
            "of_all": rate(self.held, self.tries),
        }


def tallied(
    draws: Iterable[Draw],
    judges: Mapping[Name, Callable[[Draw], State]],
    clean: int | None = CLEAN,
) -> dict[Name, Tally]:
    """Every draw judged by each of some rules, until none of them needs more.

    Args:
        draws: Made one by one.
        judges: By name; a rule that has seen enough is not asked again.
        clean: As in `enough`; None to count all of a few draws.
    """
    found = dict.fromkeys(judges, Tally())
    for draw in draws:
        asked = [
            name
            for name, tally in found.items()
            if clean is None or not enough(tally.held, tally.tries, clean)
        ]
        if not asked:
            break
        for name in asked:
            found[name] = found[name].plus(judges[name](draw))
    return found


@dataclass(frozen=True, slots=True)
class Null:
    """What a rule says where nothing is.

    Attributes:
        model: Of the model itself, with its own labels.
        shuffled, same_process: Of what is no difference of process.
        told: The same of answers told first against last; None where the claim has no such null.
        p: Of shuffled labels, one each; they should be uniform.
        levels: How many different p there can be; None if they are continuous.
    """

    model: State
    shuffled: Tally
    same_process: Tally
    told: Tally | None = None
    p: tuple[float, ...] = ()
    levels: int | None = None


def said(null: Null | Inconclusive) -> dict[str, Any]:
    """Plain values; of a gate that is unmet, why."""
    if isinstance(null, Inconclusive):
        names = ("model_says", "shuffled", "same_process", "told", "p")
        return {"unmet": str(null), **dict.fromkeys(names)}
    return {
        "unmet": None,
        "model_says": str(null.model),
        "shuffled": null.shuffled.to_json(),
        "same_process": null.same_process.to_json(),
        "told": null.told.to_json() if null.told else None,
        "p": _uniform(null.p, null.levels) if len(null.p) >= FEWEST_P else None,
    }


def _uniform(p: tuple[float, ...], levels: int | None) -> dict[str, Any]:
    """Shares of small p, and how many more of them there are than in a uniform distribution."""
    found = stats.uniformity(np.array(p), levels)
    return {
        "n": len(p),
        "below": {str(level): rate(sum(x <= level for x in p), len(p)) for level in LEVELS},
        "excess": found.excess,
        "p_excess": found.p_excess,
    }


def together(required: Iterable[Evidence]) -> State:
    """Failed if any requirement fails, else undecided if one is; none is asked for in vain."""
    said = State.HELD
    for evidence in required:
        if evidence.state is State.FAILED:
            return State.FAILED
        if evidence.state is State.UNDECIDED:
            said = State.UNDECIDED
    return said
