"""The second steering finding of h7: does projecting the direction out cost its task alone.

Where to do so is selected on discovery pairs that the direction was not fitted on; evaluation
pairs decide.
"""

from dataclasses import replace

from harness.findings.requirements import interval, no_headroom
from harness.findings.steering.effects import accuracy_change
from harness.findings.steering.measured import Projected, measure_projected
from harness.findings.steering.plots import loss_by_layer
from harness.findings.steering.requirements import beyond_isotropic, task_spared
from harness.findings.steering.rule import SteeringRule
from harness.findings.steering.secondary import projected_secondary
from harness.findings.steering.words import direction_notes, effect_in_words
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding
from harness.verdicts.samples import by_sample


def projection_finding(study: Study, rule: SteeringRule, gate: float) -> Finding:
    """Whether the second task is lost without the direction, and the first is spared."""
    measured = measure_projected(study, rule, gate)
    evidence = _decisive(measured)
    second = measured.effects.second
    lost = second.before - second.after[0]
    return Finding(
        evidence=(*evidence, *projected_secondary(measured)),
        gates=measured.gates,
        notes=_notes(measured),
        samples={evidence[0].name: by_sample(measured.prompts.pairs, lost)},
        plots=loss_by_layer(measured),
    )


def _decisive(measured: Projected) -> list[Evidence]:
    """The accuracy lost, random directions, and that the first task is spared."""
    steering, effects = measured.steering, measured.effects
    first, second = steering.tasks
    name = f"{second} lost without the direction"
    lost = _accuracy_drop(name, measured)
    random = f"{name}, against random ones"
    chance = beyond_isotropic(random, "accuracy drop", measured.random, steering)
    return [
        lost,
        replace(chance, headroom="" if lost.passed else lost.headroom),
        task_spared(f"{first} spared", first, effects.first, steering),
    ]


def _accuracy_drop(name: str, measured: Projected) -> Evidence:
    """The second task's accuracy that is lost, by McNemar's test."""
    steering, task = measured.steering, measured.effects.second
    accuracy = accuracy_change(task, 0)
    method = (
        f"{measured.selected}; {accuracy}; McNemar, one-sided: {accuracy.test.lost} lost, "
        f"{accuracy.test.gained} gained"
    )
    between = interval((task.before - task.after[0])[task.scored], steering.study)
    return Evidence(
        name,
        Effect("accuracy drop", accuracy.before - accuracy.after, between, method=method),
        threshold=0,
        relation=">",
        p_adjusted=float(accuracy.test.p_lost),
        alpha=steering.rule.criterion.alpha,
        n=measured.effects.n,
        headroom=_headroom(measured),
    )


def _headroom(measured: Projected) -> str:
    steering = measured.steering
    margin = steering.rule.criterion.margin
    return no_headroom(steering.tasks[1], measured.effects.second, 0, steering.study, margin)


def _notes(measured: Projected) -> tuple[str, ...]:
    steering, what = measured.steering, f"taking it out ({measured.selected.intervention})"
    return (
        effect_in_words(what, steering, measured.effects, 0),
        *direction_notes(steering),
    )
