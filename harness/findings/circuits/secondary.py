"""What stands beside the findings of h5 without deciding them."""

from itertools import combinations

import numpy as np

from harness import stats
from harness.findings.circuits.arms import Arms
from harness.findings.effects import TaskEffects, change_test
from harness.findings.requirements import interval
from harness.interventions.interventions import ABLATIONS
from harness.materials.items import EVALUATION
from harness.verdicts.evidence import Effect, Evidence


def in_logits(found: Arms, target: str, tasks: tuple[str, str]) -> list[Evidence]:
    """What each task loses in nats, of logit difference and of log-probability."""
    rows = []
    for task in tasks:
        d, row = found.drops[task], found.row[target, "mean"]
        intact = f"; intact mean {d.scale:.2f}"
        for name, values, note in (
            ("logit difference", 0.0 - d.logit_difference[row], intact),
            ("log-probability", 0.0 - d.log_probability[row], ""),
        ):
            rows.append(
                Evidence(
                    f"{task}, fall of {name}",
                    Effect(
                        "nats",
                        float(np.nanmean(values)),
                        interval(values, found.study),
                        method=f"first token of the answer{note}",
                    ),
                    n=d.n,
                )
            )
    return rows


def third_abilities(found: Arms, target: str) -> list[Evidence]:
    """Tasks of the materials that the claim does not name: lookup tells reasoning from reading."""
    items = [i for i in found.study.prompts.items if i.split == EVALUATION]
    others = list(dict.fromkeys(i.task for i in items if i.task not in found.tasks))
    if not others:
        return []
    measured = found.measure([found.chosen[target].circuit], others)
    return [
        Evidence(
            f"{task} lost, beside",
            Effect("accuracy drop", float(d.share_lost[0]), interval(d.lost[0], found.study)),
            n=d.n,
        )
        for task, d in measured.items()
        if d.n
    ]


def over_ablations(found: Arms, target: str, other: str) -> Evidence:
    """The same circuit taken away in other ways, and how often two ways disagree."""
    known: dict[str, bool] = {}
    said = []
    for method in (m.name for m in ABLATIONS):
        row = found.at(target, method)
        mine, theirs = found.drops[target], found.drops[other]
        if row is None:
            said.append(f"{method}: a task has one answer throughout, so no other to take")
            continue
        if np.isnan(mine.after[row]).any() or np.isnan(theirs.after[row]).any():
            said.append(f"{method}: not applicable to every prompt")
            continue
        known[method] = _holds(found, mine, theirs, row)
        said.append(
            f"{method}: {target} {mine.share_lost[row]:.2f}, {other} {theirs.share_lost[row]:.2f}, "
            + ("holds" if known[method] else "does not hold")
        )
    pairs = list(combinations(known.values(), 2))
    flips = float(np.mean([a != b for a, b in pairs])) if pairs else float("nan")
    return Evidence(
        "flip rate over ablations",
        Effect("share of pairs that disagree", flips, method="; ".join(said)),
        n=len(known),
    )


def _holds(found: Arms, mine: TaskEffects, theirs: TaskEffects, row: int) -> bool:
    """Whether the target falls and the other task is spared."""
    falls = change_test(mine.before, mine.after[row]).p_lost <= found.rule.alpha
    test = stats.equivalence_share(theirs.any_lost(row), theirs.n, found.rule.margin)
    return bool(falls and test.p <= found.rule.alpha)


def by_specialisation(found: Arms, target: str) -> list[Evidence]:
    """As many components, chosen as the paper does: by how they differ, not by what they do."""
    row = found.at(target, "specialised")
    if row is None:
        return []
    return [
        Evidence(
            f"{task} lost, {found.kind}s chosen by specialisation",
            Effect(
                "accuracy drop",
                float(d.share_lost[row]),
                interval(d.lost[row], found.study),
                method="as many, largest d on crossed discovery prompts",
            ),
            n=d.n,
        )
        for task, d in found.drops.items()
    ]
