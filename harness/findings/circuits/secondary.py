"""What h5 shows about a circuit without deciding anything by it."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from harness import stats
from harness.findings.circuits.measured import SpecificCircuit
from harness.findings.effects import TaskEffects, change_test
from harness.findings.requirements import interval
from harness.interventions.interventions import ABLATIONS
from harness.materials.items import EVALUATION
from harness.verdicts.evidence import Effect, Evidence


def secondary_evidence(measured: SpecificCircuit) -> list[Evidence]:
    """All of it, in the order of the report."""
    return [
        *_in_logits(measured),
        *_third_tasks(measured),
        _over_ablations(measured),
        *_by_specialisation(measured),
    ]


def _in_logits(measured: SpecificCircuit) -> list[Evidence]:
    """What each task loses in nats, of logit difference and of log-probability."""
    rows = []
    for task in (measured.target, measured.other):
        effects, row = measured.circuits.effects[task], measured.row
        for name, changes, note in (
            ("logit difference", effects.logit_difference, f"; intact mean {effects.scale:.2f}"),
            ("log-probability", effects.log_probability, ""),
        ):
            fall = 0.0 - changes[row]
            between = interval(fall, measured.circuits.study)
            method = f"first token of the answer{note}"
            effect = Effect("nats", float(np.nanmean(fall)), between, method=method)
            rows.append(Evidence(f"{task}, fall of {name}", effect, n=effects.n))
    return rows


def _third_tasks(measured: SpecificCircuit) -> list[Evidence]:
    """Tasks that the claim does not name; lookup tells reasoning from reading."""
    circuits = measured.circuits
    items = [i for i in circuits.study.prompts.items if i.split == EVALUATION]
    others = list(dict.fromkeys(i.task for i in items if i.task not in circuits.tasks))
    if not others:
        return []
    effects = circuits.measure([measured.selected.circuit], others)
    return [
        Evidence(
            f"{task} lost, secondary",
            Effect("accuracy drop", float(e.share_lost[0]), interval(e.lost[0], circuits.study)),
            n=e.n,
        )
        for task, e in effects.items()
        if e.n
    ]


def _over_ablations(measured: SpecificCircuit) -> Evidence:
    """The same circuit ablated in other ways, and how often two ways disagree."""
    holds: dict[str, bool] = {}
    words = []
    target, other = measured.of_target, measured.of_other
    for method in ABLATIONS:
        row = measured.circuits.at(measured.target, method.name)
        if row is None:
            words.append(f"{method}: a task has one answer throughout, so no other to take")
            continue
        if np.isnan(target.after[row]).any() or np.isnan(other.after[row]).any():
            words.append(f"{method}: not applicable to every prompt")
            continue
        holds[method.name] = _holds(measured, row)
        words.append(
            f"{method}: {measured.target} {target.share_lost[row]:.2f}, "
            f"{measured.other} {other.share_lost[row]:.2f}, "
            + ("holds" if holds[method.name] else "does not hold")
        )
    pairs = list(combinations(holds.values(), 2))
    flips = float(np.mean([a != b for a, b in pairs])) if pairs else float("nan")
    effect = Effect("share of pairs that disagree", flips, method="; ".join(words))
    return Evidence("flip rate over ablations", effect, n=len(holds))


def _holds(measured: SpecificCircuit, row: int) -> bool:
    """Whether the target falls and the other task is spared."""
    target, other, rule = measured.of_target, measured.of_other, measured.rule
    falls = change_test(target.before, target.after[row]).p_lost <= rule.alpha
    test = stats.equivalence_share(other.any_lost(row), other.n, rule.margin)
    return bool(falls and test.p <= rule.alpha)


def _by_specialisation(measured: SpecificCircuit) -> list[Evidence]:
    """As many components, selected as the paper does: by how they differ between the tasks."""
    circuits = measured.circuits
    row = circuits.at(measured.target, "specialised")
    if row is None:
        return []
    return [
        Evidence(
            f"{task} lost, {circuits.kind}s selected by specialisation",
            Effect(
                "accuracy drop",
                float(e.share_lost[row]),
                interval(e.lost[row], circuits.study),
                method="as many, largest d on crossed discovery prompts",
            ),
            n=e.n,
        )
        for task, e in circuits.effects.items()
    ]


def left_out(effects: Mapping[str, TaskEffects]) -> tuple[str, ...]:
    """Notes on the items that have no part in the effects, and why."""
    missed = "the intact model misses them"
    unscored = "no distractor differs from the answer in its first token"
    counts = [(task, e.missed, missed) for task, e in effects.items()]
    counts += [(task, e.unscored, unscored) for task, e in effects.items()]
    return tuple(
        f"{count} {task} items are left out: {reason}" for task, count, reason in counts if count
    )
