"""The third steering finding of h7: does the direction mend items that the model gets wrong.

Materials that a model answers have few such items; then geography's three-hop questions, which
the direction has not seen either, are the pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.measure import part
from harness.findings.circuits.shared import interval, lower_end
from harness.findings.steering import plots as figures
from harness.findings.steering.secondary import (
    beyond_random,
    beyond_spread,
    cost_row,
    direction_gate,
    notes,
    replaced,
    steering_gates,
    wrong_way,
)
from harness.findings.steering.selection import Steer, SteeringRule, choose_added
from harness.findings.steering.steering import Arm, Moved, moved
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.materials.sets import geography
from harness.study.study import Study
from harness.verdicts.verdict import NEGLIGIBLE, Effect, Evidence, Finding, Gate, require

HARD = 3  # hops of the harder questions
LEAST_CHOOSING = 10  # wrong discovery items to choose with


@dataclass(frozen=True)
class Pool:
    """Items of one task, and how the intact model answers them.

    Attributes:
        prompts: The items; not those that the direction was fitted on.
        right: Whether each is answered.
        task: Theirs.
        said: What they are.
    """

    prompts: PromptSet
    right: np.ndarray
    task: str
    said: str

    def items(self, split: str, limit: int, *, right: bool) -> PromptSet:
        """Those of a split that are answered right, or wrong."""
        kept = {
            i.id for i, r in zip(self.prompts.items, self.right, strict=True) if bool(r) is right
        }
        return part(self.prompts.where(lambda i: i.id in kept), split, (self.task,), limit)


def pool_of(steer: Steer) -> Pool:
    """The task's own items; harder ones where too few of those are wrong to be judged."""
    study, task = steer.study, steer.study.prompts.tasks[1]
    unseen = study.prompts.where(
        lambda i: i.task == task and (i.split == EVALUATION or i.pair in steer.fitted.choosing)
    )
    own = _pool(study, unseen, task, f"{task} items of {study.prompts.name}")
    wrong = len(own.items(EVALUATION, steer.rule.judged, right=False))
    if wrong >= steer.rule.least or study.prompts.name != "geography":
        return own
    harder = study.plan.labelled(geography(study.plan.items, study.plan.seed, hops=HARD))
    said = f"{task} items of {HARD} hops, as {wrong} of the plain ones are wrong"
    return _pool(study, harder.where(lambda i: i.task == task), task, said)


def _pool(study: Study, prompts: PromptSet, task: str, said: str) -> Pool:
    right = study.subject.answers(prompts).correct == 1
    return Pool(prompts, right, task, f"{said}, {right.mean():.2f} of them answered right")


def mending_finding(study: Study, rule: SteeringRule, gate: float) -> Finding:
    """Whether wrong items move as the direction says, beyond random directions."""
    task = study.prompts.tasks[1]
    name = f"{task} items answered wrong, change of logit difference"
    gates = steering_gates(study, gate)
    require(*gates)
    steer = Steer.of(study, rule)
    pool = pool_of(steer)
    to_choose = pool.items(DISCOVERY, rule.choosing, right=False)
    judged = pool.items(EVALUATION, rule.judged, right=False)
    gates = (*gates, direction_gate(steer), _enough(to_choose, judged, pool, rule))
    require(*gates)

    def score(arms: Sequence[Arm]) -> Float[np.ndarray, " arm"]:
        of = moved(steer.run(to_choose, arms), to_choose, task)
        return np.array([of.mean(i) for i in range(len(arms))])

    chosen, others = choose_added(steer, score, +1), steer.random()
    # Wrong items differ widely, so that random directions are run on all of them.
    found = moved(steer.run(judged, replaced(chosen.arm, others), others), judged, task)
    isotropic_ones, spread = np.split(np.array([found.mean(i + 1) for i in range(len(others))]), 2)
    changes = found.logit_difference[0, found.scored]
    low, high = interval(changes, study)
    effect, n = Effect("nats", found.mean(0), (low, high), method=str(chosen)), len(changes)
    right = _right_ones(steer, chosen.arm, pool)
    evidence = (
        Evidence(name, effect, threshold=NEGLIGIBLE, relation=">", n=n),
        lower_end(effect, n),
        _sign_test(changes, rule),
        beyond_random("the same, against random directions", effect, isotropic_ones, n, rule),
        wrong_way(f"{task} items moved the wrong way", changes),
        _mended(found, task),
        *right,
        cost_row(chosen.arm, steer),
    )
    verb = "raises" if low > 0 else "lowers" if high < 0 else "does not move"
    words = (
        f"steering ({chosen.arm}) {verb} {task} answers that were wrong: {effect.value:+.2f} nats "
        f"[{low:.2f}, {high:.2f}]; {found.after[0, found.scored].mean():.2f} of them become right, "
        f"under random directions {_by_chance(found):.2f}"
        + "".join(f"; of items that were right, {e.effect.method}" for e in right)
    )
    plot = figures.mended_histogram(found, len(isotropic_ones), task, str(chosen.arm))
    controls = (beyond_spread(effect.value, spread),)
    said = (f"pool: {pool.said}", words, *notes(steer))
    return Finding(evidence, controls, gates, notes=said, plots=(plot,))


def _enough(to_choose: PromptSet, judged: PromptSet, pool: Pool, rule: SteeringRule) -> Gate:
    reason = (
        f"the intact model gets {len(judged)} evaluation and {len(to_choose)} discovery items "
        f"wrong ({pool.said}); {rule.least} and {LEAST_CHOOSING} are needed"
    )
    met = len(judged) >= rule.least and len(to_choose) >= LEAST_CHOOSING
    return Gate("wrong items", met, reason)


def _sign_test(changes: Float[np.ndarray, " item"], rule: SteeringRule) -> Evidence:
    """Whether more items move as said than the other way."""
    test = stats.mcnemar(changes > 0, changes < 0)
    up = float((changes > 0).mean())
    return Evidence(
        "items moved as the direction says",
        Effect(
            "share", up, stats.binomial_interval(test.lost, len(changes)), method="exact sign test"
        ),
        threshold=0.5,
        relation=">",
        p_adjusted=float(test.p_lost),
        alpha=rule.alpha,
        floor=float(stats.mcnemar_floor(len(changes))),
        n=len(changes),
    )


def _mended(found: Moved, task: str) -> Evidence:
    """Answers that become right; and how many do under a random direction."""
    after = found.after[0, found.scored]
    share = stats.binomial_interval(int((after == 1).sum()), len(after))
    method = f"random directions: {_by_chance(found):.2f} (median)"
    effect = Effect("share now right", float(after.mean()), share, method=method)
    return Evidence(f"{task} items mended", effect, n=len(after))


def _by_chance(found: Moved) -> float:
    """Median share of items that random directions make right."""
    return float(np.median(found.after[1:, found.scored].mean(1)))


def _right_ones(steer: Steer, arm: Arm, pool: Pool) -> list[Evidence]:
    """Beside: what the same costs items that were right."""
    prompts = pool.items(EVALUATION, steer.rule.control_pairs, right=True)
    if len(prompts) < 2:
        return []
    of = moved(steer.run(prompts, [arm]), prompts, pool.task)
    changes = of.logit_difference[0, of.scored]
    method = f"accuracy {of.before[of.scored].mean():.2f} to {of.after[0, of.scored].mean():.2f}"
    effect = Effect("nats", of.mean(0), interval(changes, steer.study), method=method)
    return [Evidence(f"{pool.task} items answered right, beside", effect, n=len(changes))]
