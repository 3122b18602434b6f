"""Secondary evidence of the steering findings: shown, never decisive."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.effects import TaskEffects
from harness.findings.requirements import interval
from harness.findings.steering.effects import SHARE, accuracy_change, accuracy_lost
from harness.findings.steering.measured import (
    PUBLISHED_SCALE,
    Added,
    Corrected,
    Projected,
)
from harness.findings.steering.requirements import beyond_isotropic
from harness.findings.steering.selection import SteeringStudy
from harness.findings.steering.side_effects import SideEffects
from harness.interventions.interventions import RESCALE, Intervention
from harness.verdicts.evidence import Effect, Evidence


def added_secondary(measured: Added) -> list[Evidence]:
    """Each task, the cost, the other ways to steer, other tasks and generated text."""
    steering, effects = measured.steering, measured.effects
    toward = measured.toward.intervention
    first, second = steering.tasks
    return [
        *_task_changes(first, effects.first, steering, key=f"steering.away.{first}"),
        _wrong_way(f"{first} moved the wrong way", -_changes(effects.first)),
        *_task_changes(second, effects.second, steering, key=f"steering.toward.{second}"),
        _wrong_way(f"{second} moved the wrong way", _changes(effects.second)),
        _pairs_wrong_way(measured),
        _cost(measured.side_effects.cost, toward, steering),
        _away_against_random(measured),
        *_other_interventions(measured),
        _growth(len(steering.fitted.layers)),
        *_other_tasks(measured.side_effects, steering),
        *_texts(measured.side_effects, steering),
    ]


def projected_secondary(measured: Projected) -> list[Evidence]:
    """Each task's logits, the cost, the other places, other tasks and generated text."""
    steering, effects, selected = (
        measured.steering,
        measured.effects,
        measured.selected.intervention,
    )
    first, second = steering.tasks
    return [
        *_task_changes(second, effects.second, steering)[1:],
        *_task_changes(first, effects.first, steering)[1:],
        _cost(measured.side_effects.cost, selected, steering),
        *(
            _second_task_lost(measured, number)
            for number, intervention in enumerate(measured.interventions)
            if number and intervention != selected
        ),
        *_other_tasks(measured.side_effects, steering),
        *_texts(measured.side_effects, steering),
    ]


def corrected_secondary(measured: Corrected) -> list[Evidence]:
    """How many items are corrected or move away, and the cost."""
    return [
        _wrong_way(f"{measured.pool.task} items moved the wrong way", measured.changes),
        _share_corrected(measured),
        _cost(measured.cost, measured.toward.intervention, measured.steering),
    ]


def _changes(task: TaskEffects, row: int = 0) -> Float[np.ndarray, " pair"]:
    """Change of the logit difference of every scored pair, nats."""
    return np.asarray(task.logit_difference[row, task.scored])


def _task_changes(
    name: str, task: TaskEffects, steering: SteeringStudy, key: str = ""
) -> list[Evidence]:
    """Accuracy, logit difference (with this key) and log-probability of one task, of row 0."""
    accuracy, study = accuracy_change(task, 0), steering.study
    relations = task.relations[task.scored]
    difference = (task.after[0] - task.before)[task.scored]
    changes, log_probability = _changes(task), task.log_probability[0, task.scored]
    method = (
        f"{accuracy}; McNemar: {accuracy.test.lost} lost, {accuracy.test.gained} gained; "
        "bootstrap of relations and pairs"
    )
    effects = {
        "accuracy": Effect(
            "share",
            accuracy.after - accuracy.before,
            interval(difference, study, relations),
            method=method,
        ),
        "logit difference": Effect(
            "nats", float(changes.mean()), interval(changes, study, relations)
        ),
        "the answer's log-probability": Effect(
            "nats", float(log_probability.mean()), interval(log_probability, study, relations)
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


def _cost(
    costs: dict[str, Float[np.ndarray, " prompt"]],
    intervention: Intervention,
    steering: SteeringStudy,
) -> Evidence:
    """Divergence on neutral prompts, where steering should change nothing."""
    kinds = "; ".join(f"{kind} {cost.mean():.2f}" for kind, cost in costs.items())
    most = steering.rule.selection.cost
    method = f"mean over kinds of prompts: {kinds}; a dose may cost {most:g} if selected"
    mean = float(np.mean([cost.mean() for cost in costs.values()]))
    n = sum(map(len, costs.values()))
    effect = Effect("KL, nats", mean, method=method)
    return Evidence(f"cost of {intervention} on neutral prompts", effect, n=n)


def _away_against_random(measured: Added) -> Evidence:
    """Steering away from the second task, against isotropic random directions."""
    steering, intervention = measured.steering, measured.away
    first, second = steering.tasks
    against = measured.away_random
    reversed_sign = replace(against, value=-against.value, draws=-against.draws)
    name = f"{first} minus {second}, {intervention}, against random directions"
    evidence = beyond_isotropic(name, SHARE, reversed_sign, steering)
    return replace(evidence, relation="secondary", alpha=None)


def _other_interventions(measured: Added) -> list[Evidence]:
    """The contrast of the interventions that do not decide: the other way, and rescaling."""
    steering, effects = measured.steering, measured.effects
    evidence = []
    for number, intervention in enumerate(measured.interventions[1:], 1):
        value, low, high = effects.contrast_with_interval(number, steering.study)
        accuracies = "; ".join(
            f"{name} {accuracy_change(task, number)}"
            for name, task in zip(steering.tasks, effects, strict=True)
        )
        which, method = "", f"accuracy: {accuracies}"
        if intervention.method == RESCALE and intervention.dose == PUBLISHED_SCALE:
            which = "as published, "
        if intervention == measured.away:
            which = f"away from {steering.tasks[1]}, "
        effect = Effect(SHARE, value, (low, high), method=method)
        evidence.append(Evidence(f"{which}{intervention}", effect, n=effects.n))
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
    return Evidence(f"{second} lost, {measured.interventions[number]}", effect, n=effects.n)


def _share_corrected(measured: Corrected) -> Evidence:
    """Share of wrong answers that become correct, and under random directions."""
    task = measured.effects
    after = task.after[0, task.scored]
    between = stats.binomial_interval(int((after == 1).sum()), len(after))
    method = f"random directions: {share_corrected_by_chance(task):.2f} (median)"
    effect = Effect("share now right", float(after.mean()), between, method=method)
    return Evidence(f"{measured.pool.task} items mended", effect, n=len(after))


def share_corrected_by_chance(task: TaskEffects) -> float:
    """Share of items that random directions, in rows from 1 on, correct: the median of them."""
    return float(np.median(task.after[1:, task.scored].mean(1)))


def _other_tasks(side_effects: SideEffects, steering: SteeringStudy) -> list[Evidence]:
    """What the same interventions do to tasks that the claim does not name, such as lookup."""
    return [
        _logit_change(
            f"{task}, secondary, change of logit difference, {intervention}",
            effects,
            number,
            steering,
        )
        for task, effects in side_effects.other_tasks.items()
        for number, intervention in enumerate(side_effects.interventions)
    ]


def _logit_change(name: str, task: TaskEffects, row: int, steering: SteeringStudy) -> Evidence:
    changes = _changes(task, row)
    between = interval(changes, steering.study, task.relations[task.scored])
    method = f"accuracy {accuracy_change(task, row)}"
    effect = Effect("nats", float(changes.mean()), between, method=method)
    return Evidence(name, effect, n=len(changes))


def _texts(side_effects: SideEffects, steering: SteeringStudy) -> list[Evidence]:
    """Greedy text of the intact and of the steered model: the share that is correct."""
    evidence = []
    for text in side_effects.texts:
        count, n = int(text.correct.sum()), len(text.correct)
        method = (
            f"greedy, {steering.rule.tokens} tokens; parsed {text.parsed.mean():.2f}, what is not "
            "parsed is wrong"
        )
        between = stats.binomial_interval(count, n)
        effect = Effect("share right", count / n, between, method=method)
        name = f"{text.task} generated, {text.intervention or 'intact'}"
        evidence.append(Evidence(name, effect, n=n))
    return evidence
