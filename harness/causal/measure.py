"""Measuring causes: sweeps and attributions from the store, and what they did to the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from harness.causal.ablations import Ablation, donors_of, identity
from harness.prompts import Item, PromptSet
from harness.study import Study, Subject
from harness.sweeps import ComponentScores, SweepResult

if TYPE_CHECKING:
    from harness.adapter import Model
    from harness.edits import Reference

SWEEP_VERSION = 1  # raise it when an edit, a measure or the choice of donors changes its meaning
SHARD = 32  # prompts a shard: what a killed sweep loses at most


def sweep(
    subject: Subject, prompts: PromptSet, ablations: Sequence[Ablation], means_over: PromptSet
) -> SweepResult:
    """Every prompt under every ablation, from the store or measured; resumes shard by shard.

    An ablation that does not apply to a prompt (no such position, no counterfactual of the same
    length) leaves nan there: see `SweepResult.applicable`.

    Args:
        subject: The model.
        prompts: The prompts.
        ablations: Each is applied alone, its sites together.
        means_over: The prompts whose mean activations a mean ablation writes.
    """
    methods = {a.method for a in ablations}
    what = {
        "kind": "sweep",
        "version": SWEEP_VERSION,
        "ablations": identity(ablations),
        "means": means_over.hash if "mean" in methods else None,
    }
    donors = (
        dict(zip((i.id for i in prompts.items), donors_of(prompts.items), strict=True))
        if "resample" in methods
        else None
    )

    def measure(model: "Model", items: tuple[Item, ...]) -> Mapping[str, np.ndarray]:
        reference = _reference(subject, model, means_over) if "mean" in methods else None
        result = model.sweep(
            items,
            [ablation.edits(reference) for ablation in ablations],
            donors=None if donors is None else [donors[i.id] for i in items],
            partial=True,
        )
        return {name: _prompts_first(array) for name, array in result.arrays().items()}

    arrays = subject.fetch(what, prompts, measure, shard_size=SHARD)
    return SweepResult.from_arrays({name: _prompts_first(a) for name, a in arrays.items()})


def _prompts_first(array: np.ndarray) -> np.ndarray:
    """The store keeps prompts along the first axis, a sweep edit sets; one array by prompt only."""
    return np.ascontiguousarray(array.T)


def attributions(subject: Subject, prompts: PromptSet) -> ComponentScores:
    """What mean-ablating each component would cost each prompt, to first order; stored."""
    what = {"kind": "attribution", "version": SWEEP_VERSION, "means": prompts.hash}
    arrays = subject.fetch(
        what,
        prompts,
        lambda model, items: model.component_scores(
            items, _reference(subject, model, prompts)
        ).arrays(),
    )
    return ComponentScores.from_arrays(arrays)


def _reference(subject: Subject, model: "Model", prompts: PromptSet) -> "Reference":
    """Means are not stored: a forward over a hundred prompts costs less than a file."""
    if prompts.hash not in subject.references:
        subject.references[prompts.hash] = model.references(prompts.items)
    reference: Reference = subject.references[prompts.hash]
    return reference


def part(
    prompts: PromptSet, split: str, tasks: Sequence[str], limit: int | None = None
) -> PromptSet:
    """The items of a split that ask for these tasks, of its first `limit` pairs."""
    pairs = dict.fromkeys(i.pair for i in prompts.items if i.split == split)
    kept = set(list(pairs)[:limit])
    return prompts.where(lambda i: i.split == split and i.task in tasks and i.pair in kept)


@dataclass(frozen=True, slots=True)
class Drops:
    """What ablations did to the items of one task that the intact model answers right.

    Attributes:
        lost: Whether the answer is no longer the best candidate; nan if not applicable.
        logit_difference: Fall of answer minus best distractor, nats.
        log_probability: Fall of the answer's log-probability, nats.
        scale: Mean logit difference of the intact model on these items, nats.
        pairs: Pair of each item.
        missed: Items left out because the intact model does not answer them right.
        before, after: 1 or 0 for every scorable item, right ones or not: for a McNemar test.
    """

    lost: Float[np.ndarray, "ablation item"]
    logit_difference: Float[np.ndarray, "ablation item"]
    log_probability: Float[np.ndarray, "ablation item"]
    scale: float
    pairs: np.ndarray
    missed: int
    before: Bool[np.ndarray, " scorable"]
    after: Float[np.ndarray, "ablation scorable"]

    @property
    def n(self) -> int:
        """Items measured."""
        return len(self.pairs)

    @property
    def share_lost(self) -> Float[np.ndarray, " ablation"]:
        """Drop of accuracy on the items that were right; nan if an ablation applies to none."""
        return _mean(self.lost)

    @property
    def relative(self) -> Float[np.ndarray, " ablation"]:
        """Mean fall of the logit difference as a share of the intact one."""
        return _mean(self.logit_difference) / self.scale


def _mean(values: Float[np.ndarray, "ablation item"]) -> Float[np.ndarray, " ablation"]:
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(1)
    undefined = np.full(len(values), np.nan)
    return np.asarray(np.divide(total, known.sum(1), out=undefined, where=known.any(1)))


def drops(result: SweepResult, prompts: PromptSet, task: str) -> Drops:
    """The drops of one task's items."""
    asked = np.array([i.task == task for i in prompts.items]) & result.scorable
    right = asked & (result.clean_chosen == 1)
    clean = result.clean_logit_difference[right]
    return Drops(
        lost=1.0 - result.chosen[:, right],
        logit_difference=clean - result.logit_difference[:, right],
        log_probability=result.clean_log_probability[right] - result.log_probability[:, right],
        scale=float(clean.mean()) if right.any() else float("nan"),
        pairs=np.array([i.pair for i in prompts.items])[right],
        missed=int(asked.sum() - right.sum()),
        before=result.clean_chosen[asked] == 1,
        after=result.chosen[:, asked],
    )


def measured_drops(
    study: Study,
    prompts: PromptSet,
    ablations: Sequence[Ablation],
    means_over: PromptSet,
) -> dict[str, Drops]:
    """`drops` of every task of these prompts."""
    result = sweep(study.subject, prompts, ablations, means_over)
    return {task: drops(result, prompts, task) for task in prompts.count()}
