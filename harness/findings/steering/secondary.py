"""Secondary evidence of the steering findings: shown, never decisive."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.effects import TaskEffects, effects_on_all, part
from harness.findings.requirements import interval
from harness.findings.steering.effects import SHARE, accuracy_change, accuracy_lost
from harness.findings.steering.measured import (
    PUBLISHED_SCALE,
    Added,
    Corrected,
    Projected,
    contrast_against,
)
from harness.findings.steering.requirements import beyond_isotropic
from harness.findings.steering.selection import SteeringStudy, mean_cost
from harness.interventions.interventions import RESCALE, Inputs, Intervention, address_of
from harness.materials.items import EVALUATION
from harness.study.generation import generated
from harness.verdicts.evidence import Effect, Evidence


def added_secondary(measured: Added) -> list[Evidence]:
    """Each task, the cost, the other ways to steer, other tasks and generated text."""
    steering, effects = measured.steering, measured.effects
    toward, away = measured.toward.arm, measured.away.arm
    first, second = steering.tasks
    return [
        *_task_changes(first, effects.first, steering, key=f"steering.away.{first}"),
        _wrong_way(f"{first} moved the wrong way", -_changes(effects.first)),
        *_task_changes(second, effects.second, steering, key=f"steering.toward.{second}"),
        _wrong_way(f"{second} moved the wrong way", _changes(effects.second)),
        _pairs_wrong_way(measured),
        _cost(toward, steering),
        _away_against_random(measured),
        *_other_arms(measured),
        _growth(len(steering.fitted.layers)),
        *_third_tasks((toward, away), steering),
        *_generation((toward, away), steering),
    ]


def projected_secondary(measured: Projected) -> list[Evidence]:
    """Each task's logits, the cost, the other places, other tasks and generated text."""
    steering, effects, selected = measured.steering, measured.effects, measured.selected.arm
    first, second = steering.tasks
    return [
        *_task_changes(second, effects.second, steering)[1:],
        *_task_changes(first, effects.first, steering)[1:],
        _cost(selected, steering),
        *(
            _second_task_lost(measured, number)
            for number, arm in enumerate(measured.arms)
            if number and arm != selected
        ),
        *_third_tasks((selected,), steering),
        *_generation((selected,), steering),
    ]


def corrected_secondary(measured: Corrected) -> list[Evidence]:
    """How many items are corrected or move away, the effect on correct ones, and the cost."""
    return [
        _wrong_way(f"{measured.pool.task} items moved the wrong way", measured.changes),
        _share_corrected(measured),
        *_on_correct_items(measured),
        _cost(measured.toward.arm, measured.steering),
    ]


def _changes(task: TaskEffects, arm: int = 0) -> Float[np.ndarray, " pair"]:
    """Change of the logit difference of every scored pair, nats."""
    return np.asarray(task.logit_difference[arm, task.scored])


def _task_changes(
    name: str, task: TaskEffects, steering: SteeringStudy, key: str = ""
) -> list[Evidence]:
    """Accuracy, logit difference (with this key) and log-probability of one task under arm 0."""
    accuracy, study = accuracy_change(task, 0), steering.study
    difference = (task.after[0] - task.before)[task.scored]
    changes, log_probability = _changes(task), task.log_probability[0, task.scored]
    method = (
        f"{accuracy}; McNemar: {accuracy.test.lost} lost, {accuracy.test.gained} gained; paired "
        "bootstrap"
    )
    effects = {
        "accuracy": Effect(
            "share", accuracy.after - accuracy.before, interval(difference, study), method=method
        ),
        "logit difference": Effect("nats", float(changes.mean()), interval(changes, study)),
        "the answer's log-probability": Effect(
            "nats", float(log_probability.mean()), interval(log_probability, study)
        ),
    }
    first, second, third = (
        Evidence(f"{name}, change of {quantity}", effect, n=len(changes))
        for quantity, effect in effects.items()
    )
    return [replace(first, p=float(accuracy.test.p)), replace(second, key=key), third]


def _wrong_way(name: str, along: Float[np.ndarray, " item"]) -> Evidence:
    """Share of items that move against the predicted direction, in which `along` is positive."""
    wrong = int((along < 0).sum())
    share = stats.binomial_interval(wrong, len(along))
    return Evidence(name, Effect("share", wrong / len(along), share), n=len(along))


def _pairs_wrong_way(measured: Added) -> Evidence:
    first, second = (task.logit_difference[0] for task in measured.effects)
    known = ~np.isnan(first + second)
    return _wrong_way("pairs whose contrast, in nats, goes the wrong way", (second - first)[known])


def _cost(arm: Intervention, steering: SteeringStudy) -> Evidence:
    """Divergence on neutral prompts, where steering should change nothing."""
    costs = steering.cost([arm], EVALUATION)
    kinds = "; ".join(f"{kind} {cost.mean():.2f}" for kind, cost in costs.items())
    most = steering.rule.selection.cost
    method = f"mean over kinds of prompts: {kinds}; a dose may cost {most:g} if chosen"
    effect = Effect("KL, nats", float(mean_cost(costs)[0]), method=method)
    n = sum(cost.shape[1] for cost in costs.values())
    return Evidence(f"cost of {arm} on neutral prompts", effect, n=n)


def _away_against_random(measured: Added) -> Evidence:
    """Steering away from the second task, against isotropic random directions."""
    steering, arm = measured.steering, measured.away.arm
    first, second = steering.tasks
    against = contrast_against(steering, arm, steering.isotropic_directions())
    reversed_sign = replace(against, value=-against.value, draws=-against.draws)
    name = f"{first} minus {second}, {arm}, against random directions"
    evidence = beyond_isotropic(name, SHARE, reversed_sign, steering)
    return replace(evidence, relation="secondary", alpha=None)


def _other_arms(measured: Added) -> list[Evidence]:
    """The contrast of the arms that do not decide: the other way, and rescaling."""
    steering, effects = measured.steering, measured.effects
    evidence = []
    for number, arm in enumerate(measured.arms[1:], 1):
        value, low, high = effects.contrast_with_interval(number, steering.study.plan)
        accuracies = "; ".join(
            f"{name} {accuracy_change(task, number)}"
            for name, task in zip(steering.tasks, effects, strict=True)
        )
        which, method = "", f"accuracy: {accuracies}"
        if arm.method == RESCALE and arm.dose == PUBLISHED_SCALE:
            which = "as published, "
        if arm == measured.away.arm:
            which = f"away from {steering.tasks[1]}, "
            method += f"; best of {measured.away.considered}"
        effect = Effect(SHARE, value, (low, high), method=method)
        evidence.append(Evidence(f"{which}{arm}", effect, n=effects.n))
    return evidence


def _growth(layers: int) -> Evidence:
    """How far the published rescaling makes the component grow."""
    factor = 1 + PUBLISHED_SCALE
    method = f"{factor:g} ** {layers} layers, were the direction the same in all"
    name = "growth of the component under the published rescaling"
    effect = Effect("factor", factor**layers, method=method)
    return Evidence(name, effect, published="1.1 ** 32 = 21")


def _second_task_lost(measured: Projected, number: int) -> Evidence:
    """Accuracy that both tasks lose where the direction is taken out otherwise than selected."""
    effects, (first, second) = measured.effects, measured.steering.tasks
    first_lost, second_lost = (accuracy_lost(task, number) for task in effects)
    contrast = f"{effects.contrasts[number]:+.2f} {SHARE}"
    method = f"{first} {first_lost:.2f}; {second} minus {first} {contrast}"
    effect = Effect("accuracy drop", second_lost, method=method)
    return Evidence(f"{second} lost, {measured.arms[number]}", effect, n=effects.n)


def _share_corrected(measured: Corrected) -> Evidence:
    """Share of wrong answers that become correct, and under random directions."""
    task = measured.effects
    after = task.after[0, task.scored]
    between = stats.binomial_interval(int((after == 1).sum()), len(after))
    method = f"random directions: {share_corrected_by_chance(task):.2f} (median)"
    effect = Effect("share now right", float(after.mean()), between, method=method)
    return Evidence(f"{measured.pool.task} items mended", effect, n=len(after))


def share_corrected_by_chance(task: TaskEffects) -> float:
    """Median over random directions, arms 1 and later, of the share of items that they correct."""
    return float(np.median(task.after[1:, task.scored].mean(1)))


def _on_correct_items(measured: Corrected) -> list[Evidence]:
    """What the same arm does to items that were answered correctly."""
    if measured.on_correct is None:
        return []
    name = f"{measured.pool.task} items answered right, secondary"
    return [_logit_change(name, measured.on_correct, 0, measured.steering)]


def _third_tasks(arms: Sequence[Intervention], steering: SteeringStudy) -> list[Evidence]:
    """What the same arms do to tasks that the claim does not name, such as lookup."""
    prompts = steering.study.prompts
    others = [task for task in prompts.count() if task not in steering.tasks]
    if not others:
        return []
    items = part(prompts, EVALUATION, others, steering.rule.criterion.pairs)
    result = steering.run(items, arms)
    return [
        _logit_change(
            f"{task}, secondary, change of logit difference, {arm}",
            effects_on_all(result, items, task),
            number,
            steering,
        )
        for task in others
        for number, arm in enumerate(arms)
    ]


def _logit_change(name: str, task: TaskEffects, arm: int, steering: SteeringStudy) -> Evidence:
    changes = _changes(task, arm)
    between = interval(changes, steering.study)
    method = f"accuracy {accuracy_change(task, arm)}"
    effect = Effect("nats", float(changes.mean()), between, method=method)
    return Evidence(name, effect, n=len(changes))


def _generation(arms: Sequence[Intervention], steering: SteeringStudy) -> list[Evidence]:
    """Greedy text of the intact and of the steered model: the share that is correct."""
    positions = steering.rule.edits.positions
    # Generated tokens are edited too, which is the same edit only if every token is edited.
    shown = (None, *(arms if positions == "all" else ()))
    return [row for arm in shown for row in _generated(arm, steering)]


def _generated(arm: Intervention | None, steering: SteeringStudy) -> list[Evidence]:
    prompts, tokens = steering.evaluation_items(), steering.rule.tokens
    directions = (steering.fitted.directions,)
    text = generated(
        steering.study.subject,
        prompts,
        tokens,
        tuple if arm is None else partial(arm.edits, Inputs(directions=directions)),
        "" if arm is None else address_of([arm], directions),
    )
    tasks = np.array([item.task for item in prompts.items])
    evidence = []
    for task in steering.tasks:
        parsed, correct = (values[tasks == task] for values in (text.parsed, text.right))
        count, n = int(correct.sum()), len(correct)
        method = f"greedy, {tokens} tokens; parsed {parsed.mean():.2f}, what is not parsed is wrong"
        between = stats.binomial_interval(count, n)
        effect = Effect("share right", count / n, between, method=method)
        evidence.append(Evidence(f"{task} generated, {arm or 'intact'}", effect, n=n))
    return evidence
