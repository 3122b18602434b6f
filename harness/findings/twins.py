"""Untrained twins: the same measurement where nothing was learned, so that nothing may be found."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from harness.activations.extracted import Activations
from harness.study.study import Study
from harness.verdicts.evidence import Control, Evidence

Measured = TypeVar("Measured")


@dataclass(frozen=True, slots=True)
class TwinResult:
    """What a twin shows of the value that decides the claim, and a note on it."""

    value: float
    note: str = ""


def on_twins(study: Study, measure: Callable[[Activations], Measured]) -> dict[str, Measured]:
    """The measurement on each untrained twin, by its name; one twin at a time is in memory."""
    return {name: measure(activations) for name, activations in study.twins()}


def twin_controls(
    results: Mapping[str, TwinResult],
    *,
    meets: Callable[[float], bool] | None,
    measured: str = "",
) -> tuple[Control, ...]:
    """One control for each untrained twin, which behaves if it does not meet the claim.

    Args:
        results: By twin.
        meets: Whether a value meets what the claim asks for; None if twins are only shown.
        measured: What was measured, where the claim has several measurements.
    """
    return tuple(
        Control(
            f"untrained {name}, {measured}" if measured else f"untrained {name}",
            result.value,
            None if meets is None else not meets(result.value),
            note=result.note,
        )
        for name, result in results.items()
    )


def worth_controls(study: Study, required: Iterable[Evidence]) -> bool:
    """Whether controls are measured: where the model itself meets what decides, or with --full.

    Controls can only take support away, and they cost more than the claim itself.
    """
    return study.plan.full or all(e.passed for e in required if e.decisive)


def left_out(what: str, *, met: bool) -> tuple[str, ...]:
    """A note on controls that were not measured, where they were not.

    Args:
        what: Of them, in the plural.
        met: Whether they were worth it.
    """
    reason = "the model itself does not meet the requirements"
    return () if met else (f"{what} were not measured (--full does): {reason}",)


def missing_twins(study: Study, *, met: bool) -> tuple[str, ...]:
    """A note on why twins were not measured, where they were not.

    Args:
        study: Its plan says how many there are.
        met: Whether they were worth it.
    """
    if not met or study.plan.twins:
        return left_out("untrained twins", met=met)
    return ("no untrained twin was run (--twins 0), so that control is missing",)


def twins_that_pass(controls: tuple[Control, ...]) -> tuple[str, ...]:
    """A note on how many twins meet the published criterion, where one does."""
    passing = sum(control.passed is False for control in controls)
    if not passing:
        return ()
    return (f"{passing} of {len(controls)} untrained twins pass this criterion too",)
