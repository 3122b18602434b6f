"""The second steering finding of h7: does projecting the direction out cost its task alone.

Where to do so is selected on discovery pairs that the direction was not fitted on; evaluation
pairs decide.
"""

from dataclasses import replace

from harness.findings.requirements import sampled
from harness.findings.steering.effects import accuracy_change
from harness.findings.steering.measured import Projected, measure_projected
from harness.findings.steering.plots import loss_by_layer
from harness.findings.steering.requirements import beyond_isotropic, share_lost, task_spared
from harness.findings.steering.rule import SteeringRule
from harness.findings.steering.secondary import projected_secondary
from harness.findings.steering.words import direction_notes, effect_in_words
from harness.study.study import Study
from harness.verdicts.evidence import Evidence
from harness.verdicts.judge import Finding
from harness.verdicts.samples import by_sample


def projection_finding(study: Study, rule: SteeringRule, gate: float) -> Finding:
    """Whether the second task is lost without the direction, and the first is spared."""
    measured = measure_projected(study, rule, gate)
    evidence = _decisive(measured)
    second = measured.effects.second
    lost = second.costs[0]
    return Finding(
        evidence=(*evidence, *projected_secondary(measured)),
        gates=measured.gates,
        notes=_notes(measured),
        samples={evidence[0].name: by_sample(sampled(second.relations, second.pairs), lost)},
        plots=loss_by_layer(measured),
    )


def _decisive(measured: Projected) -> list[Evidence]:
    """What the second task loses, random directions, and that the first task is spared."""
    steering, effects = measured.steering, measured.effects
    first, second = steering.tasks
    name = f"{second} lost without the direction"
    method = f"{measured.selected}; accuracy {accuracy_change(effects.second, 0)}"
    lost = share_lost(name, effects.second, steering, method)
    random = f"{name}, against random ones"
    return [
        replace(lost, threshold=steering.rule.criterion.margin, relation=">"),
        beyond_isotropic(random, lost.effect.name, measured.random, steering),
        task_spared(f"{first} lost without it", effects.first, steering),
    ]


def _notes(measured: Projected) -> tuple[str, ...]:
    steering, what = measured.steering, f"taking it out ({measured.selected.intervention})"
    return (
        effect_in_words(what, steering, measured.effects, 0),
        *direction_notes(steering),
    )
