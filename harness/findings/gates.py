"""Gates that claims share: conditions that a measurement needs to say anything."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness import stats
from harness.findings.specialisation.rules import LEAST_PROMPTS
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.materials.sets import no_process
from harness.study.study import Study
from harness.verdicts.evidence import Gate

PROCESS = "process"  # name of a gate
FIRST_ITEMS = 30  # of each task: where these show what is to be known, no more are asked
SURE = 0.99  # level of the interval that must lie below the gate
ADD_ANSWERS = "each prompt an answer and distractors, or options"  # as columns of a prompt file


def classes_gate(study: Study) -> Gate:
    """Whether each class has prompts enough to have a spread."""
    counts = {task: study.prompts.count().get(task, 0) for task in study.prompts.tasks}
    return Gate(
        "prompts",
        min(counts.values()) >= LEAST_PROMPTS,
        f"{study.prompts.name} holds {' and '.join(f'{n} {task}' for task, n in counts.items())} "
        f"prompts: {LEAST_PROMPTS} or more of each are needed",
    )


def folds_gate(study: Study, pairs: int, folds: int) -> Gate:
    """Whether there is a pair for each fold."""
    reason = f"{study.prompts.name} has {pairs} pairs: {folds} folds need {folds}"
    return Gate("folds", pairs >= folds, reason)


def answers_gate(study: Study) -> Gate:
    """Whether every prompt can be scored: it has an answer, and distractors to compare it with."""
    items, name = study.prompts.items, study.prompts.name
    counts = {
        "answer": sum(not item.answer for item in items),
        "distractors": sum(not item.distractors for item in items),
    }
    lacking = " and ".join(f"{n:,} have no {what}" for what, n in counts.items() if n)
    reason = (
        f"whether the model can do the tasks was not measured: of the {len(items):,} prompts of "
        f"{name}, {lacking}; give {ADD_ANSWERS}"
    )
    return Gate.of("answers", not lacking, unmet=reason)


def process_gate(prompts: PromptSet) -> Gate:
    """Whether the tasks differ in a process, and not in the question alone."""
    first, second = prompts.tasks
    reason = no_process(prompts)
    return Gate(PROCESS, not reason, reason or f"{first} and {second} differ in source or steps")


def competence_gates(
    study: Study, least: float, tasks: Sequence[str] | None = None, *, early: bool = False
) -> tuple[Gate, ...]:
    """The process gate, and one for each task: what is not answered shows nothing of how it is.

    `--competence-gate` of the run replaces `least`; 0 lets every model pass, and prompts that
    cannot be scored. With `early`, the first items are enough where they meet the gates.
    """
    if study.plan.competence_gate is not None:
        least = study.plan.competence_gate
    process = process_gate(study.prompts)
    if not study.has_answers:
        return (process,) if least == 0 else (process, answers_gate(study))
    first = replace(study, prompts=first_pairs(study.prompts))
    if early and _saves(first, study) and all(g.met for g in _answered(first, least, tasks)):
        study = first
    return (process, *_answered(asked(study, least, tasks), least, tasks))


def _answered(study: Study, least: float, tasks: Sequence[str] | None) -> tuple[Gate, ...]:
    above, guessing = study.beats_chance(), study.guessing()
    return tuple(
        _competence_gate(study, task, accuracy, least, None if above[task] else guessing[task])
        for task, accuracy in study.accuracy().items()
        if tasks is None or task in tasks
    )


def asked(
    study: Study, least: float, tasks: Sequence[str] | None = None, *, surely: bool = True
) -> Study:
    """The study on the prompts that it takes to know whether tasks are answered.

    The first pairs are asked, then twice as many, and on: where all of a task's interval lies
    below the gate, the other prompts could not change that. The level holds over all looks.

    Args:
        study: On all prompts.
        least: The gate.
        tasks: Those that must be answered; by default all.
        surely: Whether it must be known; else an accuracy below the gate is enough.
    """
    if least == 0:
        return study
    looks = list(_growing(study))
    level = 1 - (1 - SURE) / max(1, len(looks))
    for first in looks:
        counts = first.prompts.count()
        for task, accuracy in first.accuracy().items():
            right = round(accuracy * counts[task])
            high = stats.binomial_interval(right, counts[task], level=level)[1]
            if (tasks is None or task in tasks) and (high if surely else accuracy) < least:
                return first
    return study


def _growing(study: Study) -> Iterator[Study]:
    """The study on its first pairs, on twice as many, and on, up to half of all."""
    items = FIRST_ITEMS
    first = replace(study, prompts=first_pairs(study.prompts, items))
    while _saves(first, study):
        yield first
        items *= 2
        first = replace(study, prompts=first_pairs(study.prompts, items))


def _saves(first: Study, study: Study) -> bool:
    """Whether it is worth while to ask the first pairs before all."""
    return 2 * len(first.prompts) <= len(study.prompts)


def first_pairs(prompts: PromptSet, items: int = FIRST_ITEMS) -> PromptSet:
    """The first pairs of a set, until they hold so many items of each task."""
    left = dict.fromkeys(prompts.count(), items)
    kept: set[str] = set()
    for item in prompts.items:
        if item.pair in kept or any(left.values()):
            kept.add(item.pair)
            left[item.task] = max(left[item.task] - 1, 0)
    name = f"{prompts.name}, first {len(kept)} pairs"
    return prompts.where(lambda item: item.pair in kept, name)


def _competence_gate(
    study: Study, task: str, accuracy: float, least: float, guessing: float | None
) -> Gate:
    """A gate that is met by an accuracy clearly above guessing (None), or opened with 0."""
    found = f"{task} accuracy {accuracy:.2f} on {study.prompts.name}"
    thinking = f"; {study.subject.thinking}" if study.subject.thinking else ""
    if guessing is None or least == 0 or accuracy < least:
        met, found = accuracy >= least, f"{found}, the gate is {least:.2f}"
        return Gate.of(f"{task} accuracy", met, found, unmet=thinking)
    more = "; ask more items" if accuracy > guessing else ""
    unmet = f" reaches the gate of {least:.2f} but is not clearly above guessing ({guessing:.2f})"
    return Gate(f"{task} accuracy", False, f"{found}{unmet}{more}{thinking}")


def causal_gates(study: Study, gate: float) -> tuple[Gate, ...]:
    """Items of both tasks have answers, in both splits, and the intact model gives them.

    An answer that is not given cannot be lost: an untrained model is inconclusive.
    """
    if not study.has_answers:
        return (answers_gate(study),)
    gates = competence_gates(study, gate, study.prompts.tasks)
    there = {(i.split, i.task) for i in study.prompts.items}
    missing = [
        f"{split} items of {task}"
        for task in study.prompts.tasks
        for split in (DISCOVERY, EVALUATION)
        if (split, task) not in there
    ]
    return (
        *gates,
        Gate.of(
            "splits",
            not missing,
            unmet=f"{study.prompts.name} has no {', no '.join(missing)}: circuits are chosen on "
            "discovery items and judged on evaluation items",
        ),
    )


def causal_answers(study: Study, gate: float) -> tuple[Gate, ...]:
    """The causal gates of a published criterion: without splits, whatever the tasks differ in."""
    return tuple(g for g in causal_gates(study, gate) if g.name not in ("splits", PROCESS))


def gate_notes(gates: tuple[Gate, ...]) -> tuple[str, ...]:
    """A note if competence was not measured, which only --competence-gate 0 allows."""
    if all(gate.name == PROCESS for gate in gates):
        return ("not every prompt has an answer and distractors: competence was not measured",)
    return ()
