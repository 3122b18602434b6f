"""The first steering finding of h7: does adding the direction move the tasks apart.

How to steer is selected on discovery pairs that the direction was not fitted on; evaluation pairs
decide.
"""

from harness.findings.requirements import sampled
from harness.findings.steering.effects import SHARE
from harness.findings.steering.measured import Added, measure_added
from harness.findings.steering.plots import added_plots
from harness.findings.steering.requirements import (
    beyond_isotropic,
    logit_gained,
    share_gained,
    spread_control,
)
from harness.findings.steering.rule import SteeringRule
from harness.findings.steering.secondary import added_secondary
from harness.findings.steering.words import direction_notes, effect_in_words
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding
from harness.verdicts.samples import by_sample


def steering_finding(study: Study, rule: SteeringRule, gate: float) -> Finding:
    """Whether adding the direction moves the second task up against the first, beyond chance.

    The second task itself must gain, by as much and beyond the same random directions: else a
    direction that ruins the first one would pass.

    Each task is measured in shares of its own intact logit difference. In nats, an edit that
    ruins both tasks would pass wherever the first task stood higher: it has more to lose.
    """
    measured = measure_added(study, rule, gate)
    evidence = _decisive(measured)
    contrasts, first = measured.effects.pair_contrasts(0), measured.effects.first
    return Finding(
        evidence=(*evidence, *added_secondary(measured)),
        controls=(
            spread_control(measured.spread[0]),
            spread_control(measured.spread[1], f"{measured.steering.tasks[1]} gained"),
        ),
        gates=measured.gates,
        notes=_notes(measured),
        samples={evidence[0].name: by_sample(sampled(first.relations, first.pairs), contrasts)},
        plots=added_plots(measured),
    )


def _decisive(measured: Added) -> list[Evidence]:
    """The contrast, random directions, and what the second task itself gains, by both signs."""
    steering, effects = measured.steering, measured.effects
    first, second = steering.tasks
    value, low, high = effects.contrast_with_interval(0, steering.study)
    method = f"{measured.toward}; bootstrap of relations and pairs"
    effect = Effect(SHARE, value, (low, high), method=method)
    name = f"{second} minus {first}, change of logit difference"
    contrast, gain = measured.isotropic
    own = share_gained(f"{second} gained by it", effects.second, steering)
    lift, key = steering.rule.criterion.lift, f"steering.contrast.{second}.{first}"
    return [
        Evidence(name, effect, threshold=lift, relation=">", n=effects.n, key=key),
        beyond_isotropic("the same, against random directions", SHARE, contrast, steering),
        own,
        beyond_isotropic(f"{own.name}, against random ones", own.effect.name, gain, steering),
        logit_gained(f"{second} with room, gained by it", measured.own, 0, steering),
        logit_gained(f"{second} with room, lost the other way", measured.own, 1, steering),
    ]


def _notes(measured: Added) -> tuple[str, ...]:
    steering, effects = measured.steering, measured.effects
    toward, away = measured.toward.intervention, measured.away
    return (
        effect_in_words(f"adding the direction ({toward})", steering, effects, 0),
        effect_in_words(f"going the other way ({away})", steering, effects, 1),
        f"with room to rise and fall: {measured.pool.description}",
        *direction_notes(steering),
    )
