"""The steering findings of h7: does adding the direction, or taking it out, do what it says.

How to steer is chosen on discovery pairs that the direction has not seen; evaluation decides.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.shared import interval, lower_end, spared
from harness.findings.direction.vectors import Directions
from harness.findings.steering import plots as figures
from harness.findings.steering.secondary import (
    beyond_random,
    beyond_spread,
    cost_row,
    direction_gate,
    enough,
    generation_rows,
    in_words,
    notes,
    replaced,
    right_before_and_after,
    steering_gates,
    task_rows,
    third_tasks,
    wrong_way,
)
from harness.findings.steering.selection import (
    Chosen,
    Steer,
    SteeringRule,
    choose_added,
    choose_taken,
    contrast,
    lost,
    taken,
)
from harness.findings.steering.steering import Arm, Moved, isotropic
from harness.study.study import Study
from harness.verdicts.samples import by_unit
from harness.verdicts.verdict import Control, Effect, Evidence, Finding, Gate, require

SHARE = "shares of the intact logit difference"
PUBLISHED_SCALE = 0.1  # of the published rescaling, at every layer


def steering_finding(study: Study, rule: SteeringRule, gate: float) -> Finding:
    """Whether adding the direction moves the second task up against the first, beyond chance.

    Each task is measured in shares of its own intact logit difference. In nats, an edit that
    ruins both would pass wherever the first task stood higher: it has more to lose.
    """
    first, second = study.prompts.tasks
    name = f"{second} minus {first}, change of logit difference"
    steer, gates = _prepared(study, rule, gate)

    def score(arms: Sequence[Arm]) -> np.ndarray:
        return contrast(*steer.both(steer.to_choose, arms))

    toward = choose_added(steer, score, +1)
    away = choose_added(steer, lambda arms: -score(arms), -1)
    shown = _shown_arms(steer, toward, away)
    prompts = steer.judged(study.prompts.tasks)
    found = steer.both(prompts, shown)
    gates = (*gates, *enough(found, steer))
    require(*gates)
    value, low, high = _paired_contrast(found, 0, study)
    effect = Effect(SHARE, value, (low, high), method=f"{toward}; paired bootstrap, BCa")
    null, spread = _random(steer, toward.arm)
    n = int(found[1].scored.sum())
    evidence = (
        Evidence(name, effect, threshold=rule.lift, relation=">", n=n),
        lower_end(effect, n),
        null,
        _task_spared(f"{second} not lost by it", found[1], study, rule),
        *task_rows(first, found[0], 0, steer, -1),
        *task_rows(second, found[1], 0, steer, +1),
        _pairs_wrong_way(found, 0),
        cost_row(toward.arm, steer),
        _other_way(steer, away.arm),
        *_other_arms(found, shown, away, steer),
        *third_tasks((toward.arm, away.arm), steer),
        *generation_rows((toward.arm, away.arm), steer),
    )
    said = (
        in_words(f"adding the direction ({toward.arm})", found, 0, study),
        in_words(f"going the other way ({away.arm})", found, 1, study),
        *notes(steer),
    )
    plots = (
        *figures.dose_curves(steer, toward.arm.layers),
        figures.item_histogram(found, 0, study.prompts.tasks, str(toward.arm)),
    )
    units = {name: by_unit(prompts.pairs, stats.pseudo_values(_cells(found, 0), _contrast_of))}
    return Finding(evidence, (spread,), gates, notes=said, units=units, plots=plots)


def projection_finding(study: Study, rule: SteeringRule, gate: float) -> Finding:
    """Whether the second task is lost without the direction, and the first is spared."""
    first, second = study.prompts.tasks
    name = f"{second} lost without the direction"
    steer, gates = _prepared(study, rule, gate)
    chosen = choose_taken(steer)
    scopes = dict.fromkeys((chosen.arm.layers, steer.fitted.layers))
    arms = [chosen.arm, *taken(steer), *(Arm("recentre", scope) for scope in scopes)]
    prompts = steer.judged(study.prompts.tasks)
    found = steer.both(prompts, arms)
    gates = (*gates, *enough(found, steer))
    require(*gates)
    evidence = (
        *_task_lost(name, found[1], chosen, study, rule),
        _beyond_random_loss(f"{name}, against random ones", chosen.arm, steer),
        _task_spared(f"{first} spared", found[0], study, rule),
        *task_rows(second, found[1], 0, steer, 0)[1:],
        *task_rows(first, found[0], 0, steer, 0)[1:],
        cost_row(chosen.arm, steer),
        *(
            _both_lost(arm, found, number, study)
            for number, arm in enumerate(arms)
            if number and (arm.edit == "recentre" or arm != chosen.arm)
        ),
        *third_tasks((chosen.arm,), steer),
        *generation_rows((chosen.arm,), steer),
    )
    said = (in_words(f"taking it out ({chosen.arm})", found, 0, study), *notes(steer))
    plot = figures.loss_by_layer(found, arms, study.prompts.tasks)
    units = {name: by_unit(prompts.pairs, found[1].before - found[1].after[0])}
    plots = (plot,) if plot else ()
    return Finding(evidence, (), gates, notes=said, units=units, plots=plots)


def _prepared(study: Study, rule: SteeringRule, gate: float) -> tuple[Steer, tuple[Gate, ...]]:
    """The direction fitted, and the gates that were met on the way."""
    gates = require(*steering_gates(study, gate))
    steer = Steer.of(study, rule)
    return steer, require(*gates, direction_gate(steer))


def _shown_arms(steer: Steer, toward: Chosen, away: Chosen) -> list[Arm]:
    """What is judged, what goes the other way, and rescaling, the published edit among it."""
    layers, scales = steer.fitted.layers, steer.rule.scales
    scopes = dict.fromkeys((toward.arm.layers, layers))
    rescaled = [Arm("rescale", scope, s) for scope in scopes for s in scales]
    published = Arm("rescale", layers, PUBLISHED_SCALE)
    return list(dict.fromkeys([toward.arm, away.arm, *rescaled, published]))


def _paired_contrast(
    found: tuple[Moved, Moved], arm: int, study: Study
) -> tuple[float, float, float]:
    """`contrast` of one arm with its 95 % interval over pairs; a pair may lack one task."""
    e = stats.bootstrap_of_means(
        _cells(found, arm), _contrast_of, resamples=study.plan.resamples, seed=study.plan.seed
    )
    return float(e.value), float(e.low), float(e.high)


def _cells(found: tuple[Moved, Moved], arm: int) -> Float[np.ndarray, "pair cell"]:
    """Change and intact logit difference of the first task, then of the second."""
    first, second = found
    cells = (first.logit_difference[arm], first.intact, second.logit_difference[arm], second.intact)
    return np.stack(cells, axis=1)


def _contrast_of(means: Float[np.ndarray, "row cell"]) -> Float[np.ndarray, " row"]:
    return np.asarray(means[:, 2] / means[:, 3] - means[:, 0] / means[:, 1])


def _random(steer: Steer, arm: Arm) -> tuple[Evidence, Control]:
    """The contrast against that of random directions, isotropic and spread as the stream is."""
    value, drawn, n = _drawn(steer, arm, steer.random())
    own, spread = np.split(drawn, 2)
    name = "the same, against random directions"
    return beyond_random(name, Effect(SHARE, value), own, n, steer.rule), beyond_spread(
        value, spread
    )


def _drawn(
    steer: Steer, arm: Arm, others: Sequence[Directions]
) -> tuple[float, Float[np.ndarray, " draw"], int]:
    """The contrast of an arm, that along other directions, and on how many pairs."""
    prompts = steer.judged(steer.study.prompts.tasks, steer.rule.control_pairs)
    found = steer.both(prompts, replaced(arm, others), others)
    values = contrast(*found)
    return float(values[0]), values[1:], int(found[1].scored.sum())


def _other_way(steer: Steer, arm: Arm) -> Evidence:
    """Beside: going away from the second task, against isotropic random directions."""
    first, second = steer.study.prompts.tasks
    others = isotropic(steer.fitted, steer.rule.directions, steer.study.plan.seed)
    value, drawn, n = _drawn(steer, arm, others)
    name = f"{first} minus {second}, {arm}, against random directions"
    row = beyond_random(name, Effect(SHARE, -value), -drawn, n, steer.rule)
    return replace(row, relation="shown", alpha=None)


def _pairs_wrong_way(found: tuple[Moved, Moved], arm: int) -> Evidence:
    first, second = (of.logit_difference[arm] for of in found)
    known = ~np.isnan(first + second)
    return wrong_way("pairs whose contrast, in nats, goes the wrong way", (second - first)[known])


def _other_arms(
    found: tuple[Moved, Moved], arms: Sequence[Arm], away: Chosen, steer: Steer
) -> list[Evidence]:
    """Beside: the other way, chosen likewise; rescaling; and how far the published one grows."""
    rows = []
    for number, arm in enumerate(arms[1:], 1):
        value, low, high = _paired_contrast(found, number, steer.study)
        said = "; ".join(
            f"{task} {before:.2f} to {after:.2f}"
            for task, of in zip(steer.study.prompts.tasks, found, strict=True)
            for before, after, _ in [right_before_and_after(of, number)]
        )
        which = "as published, " if arm.edit == "rescale" and arm.dose == PUBLISHED_SCALE else ""
        if arm == away.arm:
            which = f"away from {steer.study.prompts.tasks[1]}, "
            said += f"; best of {away.considered}"
        effect = Effect(SHARE, value, (low, high), method=f"accuracy: {said}")
        rows.append(Evidence(f"{which}{arm}", effect, n=int(found[1].scored.sum())))
    layers = len(steer.fitted.layers)
    grown = (1 + PUBLISHED_SCALE) ** layers
    method = f"{1 + PUBLISHED_SCALE:g} ** {layers} layers, were the direction the same in all"
    name = "growth of the component under the published rescaling"
    return [
        *rows,
        Evidence(name, Effect("factor", grown, method=method), published="1.1 ** 32 = 21"),
    ]


def _task_lost(
    name: str, of: Moved, chosen: Chosen, study: Study, rule: SteeringRule
) -> list[Evidence]:
    """The accuracy that is lost, by McNemar's test, and the lower end of its interval."""
    before, after, test = right_before_and_after(of, 0)
    n = int(of.scored.sum())
    method = (
        f"{chosen}; {before:.2f} to {after:.2f}; McNemar, one-sided: {test.lost} lost, "
        f"{test.gained} gained"
    )
    between = interval((of.before - of.after[0])[of.scored], study)
    effect = Effect("accuracy drop", before - after, between, method=method)
    return [
        Evidence(
            name,
            effect,
            threshold=0,
            relation=">",
            p_adjusted=float(test.p_lost),
            alpha=rule.alpha,
            n=n,
        ),
        lower_end(effect, n),
    ]


def _beyond_random_loss(name: str, arm: Arm, steer: Steer) -> Evidence:
    """The accuracy lost against that without random directions, which are isotropic."""
    others = isotropic(steer.fitted, steer.rule.directions, steer.study.plan.seed)
    prompts = steer.judged(steer.study.prompts.tasks[1:], steer.rule.control_pairs)
    _, found = steer.both(prompts, replaced(arm, others), others)
    value, *drawn = [lost(found, i) for i in range(1 + len(others))]
    n = int(found.scored.sum())
    return beyond_random(name, Effect("accuracy drop", value), np.array(drawn), n, steer.rule)


def _task_spared(name: str, of: Moved, study: Study, rule: SteeringRule) -> Evidence:
    """Of the pairs answered right, fewer than the margin are lost."""
    right = of.scored & (of.before == 1)
    return spared(
        name,
        (of.after[0, right] < 1).astype(float),
        study,
        margin=rule.margin,
        alpha=rule.alpha,
        method="of answers that were right; equivalence: below the threshold, exact binomial",
    )


def _both_lost(arm: Arm, found: tuple[Moved, Moved], number: int, study: Study) -> Evidence:
    (first, second), tasks = (lost(of, number) for of in found), study.prompts.tasks
    drop = contrast(*found)[number]
    method = f"{tasks[0]} {first:.2f}; {tasks[1]} minus {tasks[0]} {drop:+.2f} {SHARE}"
    effect = Effect("accuracy drop", second, method=method)
    return Evidence(f"{tasks[1]} lost, {arm}", effect, n=int(found[1].scored.sum()))
