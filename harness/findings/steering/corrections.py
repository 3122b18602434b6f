"""The third steering finding of h7: does the direction correct items that the model gets wrong."""

import numpy as np

from harness.findings.requirements import interval
from harness.findings.steering.effects import accuracy_change
from harness.findings.steering.measured import Corrected, measure_corrected
from harness.findings.steering.plots import corrections_histogram
from harness.findings.steering.requirements import beyond_isotropic, spread_control, task_spared
from harness.findings.steering.rule import SteeringRule
from harness.findings.steering.secondary import corrected_secondary, share_corrected_by_chance
from harness.findings.steering.words import direction_notes
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding
from harness.verdicts.wording import NEGLIGIBLE


def correction_finding(study: Study, rule: SteeringRule, gate: float) -> Finding:
    """Whether wrong items move towards the answer, beyond random directions, and right ones stay.

    What makes every logit difference smaller lifts the negative ones of wrong items too.
    """
    measured = measure_corrected(study, rule, gate)
    evidence, secondary = _decisive(measured), corrected_secondary(measured)
    return Finding(
        evidence=(*evidence, *secondary),
        controls=(spread_control(measured.random[1]),),
        gates=measured.gates,
        notes=_notes(measured, evidence[0].effect),
        plots=(corrections_histogram(measured),),
    )


def _decisive(measured: Corrected) -> list[Evidence]:
    """The mean change, the share that moves as it should, random directions, and right items."""
    steering, task = measured.steering, measured.pool.task
    changes, (isotropic, _) = measured.changes, measured.random
    between = interval(changes, steering.study, measured.relations)
    effect = Effect("nats", isotropic.value, between, method=str(measured.toward))
    name, n = f"{task} items answered wrong, change of logit difference", len(changes)
    return [
        Evidence(name, effect, threshold=NEGLIGIBLE, relation=">", n=n),
        _as_it_says(measured),
        beyond_isotropic("the same, against random directions", "nats", isotropic, steering),
        task_spared(f"{task} items answered right, lost by it", measured.on_correct, steering),
    ]


def _as_it_says(measured: Corrected) -> Evidence:
    """Whether more items move towards the answer than away from it; ties count against it."""
    toward = (measured.changes > 0).astype(np.float64)
    between = interval(toward, measured.steering.study, measured.relations)
    return Evidence(
        "items moved as the direction says",
        Effect("share", float(toward.mean()), between, method="bootstrap of relations and items"),
        threshold=0.5,
        relation=">",
        n=len(toward),
    )


def _notes(measured: Corrected, effect: Effect) -> tuple[str, ...]:
    assert effect.interval is not None
    low, high = effect.interval
    effects, task = measured.effects, measured.pool.task
    verb = "raises" if low > 0 else "lowers" if high < 0 else "does not move"
    corrected = float(np.mean(effects.after[0, effects.scored]))
    sentence = (
        f"steering ({measured.toward.intervention}) {verb} {task} answers that were wrong: "
        f"{effect.value:+.2f} nats [{low:.2f}, {high:.2f}]; {corrected:.2f} of them become right, "
        f"under random directions {share_corrected_by_chance(effects):.2f}"
    )
    sentence += f"; of items that were right, accuracy {accuracy_change(measured.on_correct, 0)}"
    pool = f"pool: {measured.pool.description}"
    return (pool, sentence, *direction_notes(measured.steering))
