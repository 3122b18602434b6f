"""The third steering finding of h7: does the direction correct items that the model gets wrong."""

import numpy as np

from harness import stats
from harness.findings.requirements import interval
from harness.findings.steering.effects import accuracy_change
from harness.findings.steering.measured import Corrected, measure_corrected
from harness.findings.steering.plots import corrections_histogram
from harness.findings.steering.requirements import beyond_isotropic, spread_control
from harness.findings.steering.rule import SteeringRule
from harness.findings.steering.secondary import corrected_secondary, share_corrected_by_chance
from harness.findings.steering.words import direction_notes
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding
from harness.verdicts.wording import NEGLIGIBLE


def correction_finding(study: Study, rule: SteeringRule, gate: float) -> Finding:
    """Whether wrong items move towards the answer, beyond random directions."""
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
    """The mean change, the sign test, and random directions."""
    steering, task = measured.steering, measured.pool.task
    changes, (isotropic, _) = measured.changes, measured.random
    between = interval(changes, steering.study)
    effect = Effect("nats", isotropic.value, between, method=str(measured.toward))
    name, n = f"{task} items answered wrong, change of logit difference", len(changes)
    return [
        Evidence(name, effect, threshold=NEGLIGIBLE, relation=">", n=n),
        _sign_test(measured),
        beyond_isotropic("the same, against random directions", "nats", isotropic, steering),
    ]


def _sign_test(measured: Corrected) -> Evidence:
    """Whether more items move towards the answer than away from it."""
    changes = measured.changes
    test = stats.mcnemar(changes > 0, changes < 0)
    between = stats.binomial_interval(test.lost, len(changes))
    return Evidence(
        "items moved as the direction says",
        Effect("share", float((changes > 0).mean()), between, method="exact sign test"),
        threshold=0.5,
        relation=">",
        p_adjusted=float(test.p_lost),
        alpha=measured.steering.rule.criterion.alpha,
        floor=float(stats.mcnemar_floor(len(changes))),
        n=len(changes),
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
    if measured.on_correct is not None:
        accuracy = accuracy_change(measured.on_correct, 0)
        sentence += f"; of items that were right, accuracy {accuracy}"
    pool = f"pool: {measured.pool.description}"
    return (pool, sentence, *direction_notes(measured.steering))
