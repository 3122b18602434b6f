"""Gates that claims share: conditions without which a measurement says nothing."""

from collections.abc import Sequence

from harness.materials.items import paired
from harness.study.study import Study
from harness.verdicts.verdict import Gate


def paired_gate(study: Study) -> Gate:
    """Whether the materials have pairs to compare within."""
    prompts = study.prompts
    return Gate(
        "pairs",
        bool(paired(prompts.items, prompts.tasks)),
        f"no pair of {prompts.name} holds prompts of both {prompts.tasks[0]} and "
        f"{prompts.tasks[1]}: give a `pair` column, or cross the classes with --crossed",
    )


def competence_gates(
    study: Study, least: float, tasks: Sequence[str] | None = None
) -> tuple[Gate, ...]:
    """One gate a task: a model that does not answer shows nothing about how it answers.

    The run's own `--competence-gate` takes the place of `least`; 0 lets everything pass.
    """
    if not study.has_answers:
        return ()
    if study.plan.competence_gate is not None:
        least = study.plan.competence_gate
    above = study.beats_chance()
    return tuple(
        Gate(
            f"{task} accuracy",
            least == 0 or (accuracy >= least and above[task]),
            f"{task} accuracy {accuracy:.2f} on {study.prompts.name}, the gate is {least:.2f}"
            + ("" if above[task] or accuracy < least else " and clearly above guessing"),
        )
        for task, accuracy in study.accuracy().items()
        if tasks is None or task in tasks
    )


def gate_notes(gates: tuple[Gate, ...]) -> tuple[str, ...]:
    """What to say where competence could not be measured."""
    if not gates:
        return ("these materials carry no answers: competence was not measured",)
    return ()
