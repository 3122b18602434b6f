"""Rows that the steering findings share, and what stands beside them without deciding."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.measure import paired, part
from harness.findings.circuits.shared import beyond_chance, causal_gates, interval
from harness.findings.direction.vectors import Directions
from harness.findings.gates import competence_gates
from harness.findings.steering.selection import Steer, SteeringRule, mean_cost
from harness.findings.steering.steering import Arm, Moved, fitting_prompts, identity, moved
from harness.materials.items import EVALUATION
from harness.study.generation import generated
from harness.study.study import Study
from harness.verdicts.verdict import Control, Effect, Evidence, Gate, moved_in_words

LEAST_FITTED = 5  # discovery pairs to fit a direction on, and as many to choose with


def steering_gates(study: Study, gate: float) -> tuple[Gate, ...]:
    """Those of every causal claim; and, where it is fitted on other prompts, competence there."""
    gates = causal_gates(study, gate)
    if not all(g.met for g in gates):
        return gates
    source = fitting_prompts(study)
    if source.name != study.prompts.name:
        gates += competence_gates(replace(study, prompts=source), gate, source.tasks)
    tasks = study.prompts.tasks
    discovery = {
        t: {i.pair for i in source.items if i.task == t and i.split != EVALUATION} for t in tasks
    }
    fewest = min(map(len, discovery.values()))
    reason = (
        f"{fewest} discovery pairs of a task: {2 * LEAST_FITTED} are needed, half to fit a "
        "direction and half to choose how to steer"
    )
    return (*gates, Gate("discovery pairs", fewest >= 2 * LEAST_FITTED, reason))


def direction_gate(steer: Steer) -> Gate:
    """A direction of no length steers nothing."""
    reason = "the tasks' means are the same in every layer, to rounding: there is no direction"
    return Gate("direction", bool(steer.fitted.layers), reason)


def enough(found: Sequence[Moved], steer: Steer) -> tuple[Gate, ...]:
    """Items that can be judged, of each task."""
    least = steer.rule.least
    return tuple(
        Gate(
            f"{task} items",
            int(of.scored.sum()) >= least,
            f"{int(of.scored.sum())} {task} pairs of the evaluation half can be scored, {least} "
            "are needed: use more items",
        )
        for task, of in zip(steer.study.prompts.tasks, found, strict=True)
    )


def notes(steer: Steer) -> tuple[str, ...]:
    """Where the direction comes from, and what it lacks."""
    fitted, rule = steer.fitted, steer.rule
    said = [
        f"direction: difference in means at the last token over {fitted.pairs} discovery pairs of "
        f"{fitted.source}; layer and dose chosen on up to {rule.choosing} other discovery pairs; "
        f"edited: {rule.positions} tokens"
    ]
    missing = sorted(set(range(len(fitted.directions.vectors))) - set(fitted.layers))
    if missing:
        said.append(f"no direction in layers {missing}: the tasks' means are the same there")
    return tuple(said)


def beyond_random(
    name: str, effect: Effect, null: Float[np.ndarray, " draw"], n: int, rule: SteeringRule
) -> Evidence:
    """An effect against the same edit along random directions: beyond their 95th percentile.

    Measured on the same `n` items, which may be fewer than the effect elsewhere.
    """
    bare = Effect(effect.name, effect.value)
    what = "random directions of the same length"
    return beyond_chance(name, bare, null, what, alpha=rule.alpha, n=n)


def beyond_spread(value: float, null: Float[np.ndarray, " draw"]) -> Control:
    """Random directions that lie where streams lie must do less."""
    top = float(np.quantile(null, 0.95, method="higher"))
    return Control(
        "directions spread like the stream, 95th percentile",
        top,
        top < value,
        note=f"{len(null)} of the same length, of what tells prompts of one task apart; must stay "
        f"below {value:.2f}",
    )


def replaced(arm: Arm, others: Sequence[Directions]) -> list[Arm]:
    """The arm, and after it the same along each of the others."""
    return [arm, *(replace(arm, direction=1 + i) for i in range(len(others)))]


def right_before_and_after(of: Moved, arm: int) -> tuple[float, float, stats.PairedTest]:
    """Accuracy intact and steered, and the McNemar test over pairs."""
    before, after = of.before[of.scored], of.after[arm, of.scored]
    return float(before.mean()), float(after.mean()), paired(before, after)


def task_rows(task: str, of: Moved, arm: int, steer: Steer, sign: int) -> list[Evidence]:
    """One task under one arm; `sign` is where its logit difference should go, 0 if not said."""
    before, after, test = right_before_and_after(of, arm)
    n = int(of.scored.sum())
    changes = of.logit_difference[arm, of.scored]
    rows = [
        Evidence(
            f"{task}, change of accuracy",
            Effect(
                "share",
                after - before,
                interval((of.after[arm] - of.before)[of.scored], steer.study),
                method=f"{before:.2f} to {after:.2f}; McNemar: {test.lost} lost, {test.gained} "
                "gained; paired bootstrap",
            ),
            p=float(test.p),
            n=n,
        ),
        Evidence(
            f"{task}, change of logit difference",
            Effect("nats", float(changes.mean()), interval(changes, steer.study)),
            n=n,
        ),
        Evidence(
            f"{task}, change of the answer's log-probability",
            Effect(
                "nats",
                float(of.log_probability[arm, of.scored].mean()),
                interval(of.log_probability[arm, of.scored], steer.study),
            ),
            n=n,
        ),
    ]
    if sign:
        rows.append(wrong_way(f"{task} moved the wrong way", sign * changes))
    return rows


def wrong_way(name: str, along: Float[np.ndarray, " item"]) -> Evidence:
    """Anti-steered share: items whose change has the other sign than the direction says."""
    wrong = int((along < 0).sum())
    share = stats.binomial_interval(wrong, len(along))
    return Evidence(name, Effect("share", wrong / len(along), share), n=len(along))


def cost_row(arm: Arm, steer: Steer) -> Evidence:
    """What steering costs where it should change nothing."""
    costs = steer.cost([arm], EVALUATION)
    kinds = "; ".join(f"{kind} {of.mean():.2f}" for kind, of in costs.items())
    method = f"mean over kinds of prompts: {kinds}; a dose may cost {steer.rule.cost:g} if chosen"
    effect = Effect("KL, nats", float(mean_cost(costs)[0]), method=method)
    n = sum(of.shape[1] for of in costs.values())
    return Evidence(f"cost of {arm} on neutral prompts", effect, n=n)


def third_tasks(arms: Sequence[Arm], steer: Steer) -> list[Evidence]:
    """What the same does to tasks that the claim does not name, such as lookup."""
    study = steer.study
    others = [t for t in study.prompts.count() if t not in study.prompts.tasks]
    if not others:
        return []
    prompts = part(study.prompts, EVALUATION, others, steer.rule.judged)
    result = steer.run(prompts, arms)
    rows = []
    for task in others:
        of = moved(result, prompts, task)
        for number, arm in enumerate(arms):
            before, after, _ = right_before_and_after(of, number)
            changes = of.logit_difference[number, of.scored]
            method = f"accuracy {before:.2f} to {after:.2f}"
            effect = Effect("nats", float(changes.mean()), interval(changes, study), method=method)
            rows.append(
                Evidence(
                    f"{task} beside, change of logit difference, {arm}", effect, n=len(changes)
                )
            )
    return rows


def generation_rows(arms: Sequence[Arm], steer: Steer) -> list[Evidence]:
    """Greedy text, intact and steered: how much of it is an answer, and how much is right."""
    rows = []
    prompts = steer.judged(steer.study.prompts.tasks)
    tasks = np.array([i.task for i in prompts.items])
    directions, positions = (steer.fitted.directions,), steer.rule.positions
    # A generated token is edited too, which is only the same edit where every token is.
    for arm in (None, *(arms if positions == "all" else ())):
        text = generated(
            steer.study.subject,
            prompts,
            steer.rule.tokens,
            tuple if arm is None else lambda a=arm: a.edits(directions, positions),  # type: ignore[misc]
            "" if arm is None else identity([arm], directions, positions),
        )
        for task in steer.study.prompts.tasks:
            parsed, right = (x[tasks == task] for x in (text.parsed, text.right))
            k, n = int(right.sum()), len(right)
            rows.append(
                Evidence(
                    f"{task} generated, {arm or 'intact'}",
                    Effect(
                        "share right",
                        k / n,
                        stats.binomial_interval(k, n),
                        method=f"greedy, {steer.rule.tokens} tokens; parsed {parsed.mean():.2f}, "
                        "what is not parsed is wrong",
                    ),
                    n=n,
                )
            )
    return rows


def in_words(what: str, found: tuple[Moved, Moved], arm: int, study: Study) -> str:
    """Helps, hurts, both or neither: by the intervals of the logit difference, and McNemar."""
    parts, verbs = [], []
    for task, of in zip(study.prompts.tasks[::-1], found[::-1], strict=True):
        low, high = interval(of.logit_difference[arm, of.scored], study)
        verb = moved_in_words(low, high)
        before, after, test = right_before_and_after(of, arm)
        verbs.append(f"{verb} {task}")
        parts.append(
            f"{task} {of.mean(arm):+.2f} nats [{low:.2f}, {high:.2f}], accuracy {before:.2f} to "
            f"{after:.2f} (p {test.p:.2g})"
        )
    return f"{what} {' and '.join(verbs)}: {'; '.join(parts)}"
