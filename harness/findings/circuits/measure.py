"""Measuring causes: sweeps and scores from the store, and what they did to the answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.activations.swept import PathScores, SweepResult
from harness.interventions.ablations import Ablation, donors_of, identity
from harness.materials.items import Item, PromptSet
from harness.study.study import Study
from harness.study.subject import Subject

if TYPE_CHECKING:
    from harness.adapter import Model
    from harness.interventions.edits import EditSet, Reference

SWEEP_VERSION = 3  # raise it when an edit, a measure or the choice of donors changes its meaning
PATH_STEPS = 5  # forwards and backwards a prompt; ten rank alike (docs/decisions/0006)
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

    def edit_sets(model: "Model") -> "list[EditSet]":
        reference = _reference(subject, model, means_over) if "mean" in methods else None
        return [ablation.edits(reference) for ablation in ablations]

    return stored_sweep(subject, what, prompts, edit_sets, donors)


def stored_sweep(
    subject: Subject,
    what: Mapping[str, Any],
    prompts: PromptSet,
    edit_sets: "Callable[[Model], Sequence[EditSet]]",
    donors: Mapping[str, Item] | None = None,
) -> SweepResult:
    """Every prompt under every edit set, from the store or measured; resumes shard by shard.

    Args:
        subject: The model.
        what: What the edits are: part of the address in the store.
        prompts: The prompts.
        edit_sets: Makes the edits, once something has to be measured.
        donors: By item, the one that resample ablations take values from.
    """

    def measure(model: "Model", items: tuple[Item, ...]) -> Mapping[str, np.ndarray]:
        result = model.sweep(
            items,
            edit_sets(model),
            donors=None if donors is None else [donors[i.id] for i in items],
            partial=True,
        )
        return {name: _prompts_first(array) for name, array in result.arrays().items()}

    arrays = subject.fetch(what, prompts, measure, shard_size=SHARD)
    return SweepResult.from_arrays({name: _prompts_first(a) for name, a in arrays.items()})


def _prompts_first(array: np.ndarray) -> np.ndarray:
    """The store keeps prompts along the first axis, a sweep edit sets; one array by prompt only."""
    return np.ascontiguousarray(array.T)


def neuron_scores(subject: Subject, prompts: PromptSet) -> PathScores:
    """What each neuron contributes on the way to the mean ablation of all; stored."""
    what = {
        "kind": "neuron scores",
        "version": SWEEP_VERSION,
        "means": prompts.hash,
        "steps": PATH_STEPS,
    }
    arrays = subject.fetch(
        what,
        prompts,
        lambda model, items: model.path_scores(
            items, "neuron", _reference(subject, model, prompts), steps=PATH_STEPS
        ).arrays(),
    )
    return PathScores.from_arrays(arrays)


def _reference(subject: Subject, model: "Model", prompts: PromptSet) -> "Reference":
    """Means are not stored: a forward over a hundred prompts costs less than a file."""
    if prompts.hash not in subject.references:
        subject.references[prompts.hash] = model.references(prompts.items)
    reference: Reference = subject.references[prompts.hash]
    return reference


def part(
    prompts: PromptSet, split: str, tasks: Sequence[str], limit: int | None = None
) -> PromptSet:
    """The items of a split that ask for these tasks, of each task's first `limit` pairs there."""
    kept: set[tuple[str, str]] = set()
    for task in tasks:
        asked = (i.pair for i in prompts.items if i.split == split and i.task == task)
        kept |= {(task, pair) for pair in list(dict.fromkeys(asked))[:limit]}
    return prompts.where(lambda i: i.split == split and (i.task, i.pair) in kept)


@dataclass(frozen=True, slots=True)
class Drops:
    """What ablations did to the items of one task that the intact model answers right.

    A pair is the unit. Where it holds several such items (crossed prompts, people's own files),
    each value is their mean.

    Attributes:
        lost: Whether the answer is no longer the best candidate; nan if not applicable.
        logit_difference: Fall of answer minus best distractor, nats.
        log_probability: Fall of the answer's log-probability, nats.
        scale: Mean logit difference of the intact model on these items, nats.
        pairs: Their names.
        missed: Items left out because the intact model does not answer them right.
        unscored: Items left out because no distractor differs from the answer in its first token.
        before, after: Share right of every pair's scorable items, right ones or not: for `paired`.
    """

    lost: Float[np.ndarray, "ablation pair"]
    logit_difference: Float[np.ndarray, "ablation pair"]
    log_probability: Float[np.ndarray, "ablation pair"]
    scale: float
    pairs: np.ndarray
    missed: int
    unscored: int
    before: Float[np.ndarray, " asked"]
    after: Float[np.ndarray, "ablation asked"]

    @property
    def n(self) -> int:
        """Pairs measured."""
        return len(self.pairs)

    def any_lost(self, row: int) -> int:
        """Pairs that lose an answer under an ablation: the count to bound where none should."""
        return int((self.lost[row] > 0).sum())

    @property
    def share_lost(self) -> Float[np.ndarray, " ablation"]:
        """Drop of accuracy on the items that were right; nan if an ablation applies to none."""
        return means(self.lost)

    @property
    def relative(self) -> Float[np.ndarray, " ablation"]:
        """Mean fall of the logit difference as a share of the intact one."""
        return means(self.logit_difference) / self.scale

    @property
    def shares(self) -> Float[np.ndarray, "ablation pair"]:
        """Fall of each pair's logit difference as a share of the mean intact one."""
        return self.logit_difference / self.scale

    def aligned(
        self, values: Float[np.ndarray, "ablation pair"], pairs: Sequence[str]
    ) -> Float[np.ndarray, "pair ablation"]:
        """Values of these drops for each named pair; nan for those that were not measured."""
        place = {pair: i for i, pair in enumerate(pairs)}
        rows = np.full((len(place), len(values)), np.nan)
        rows[[place[str(p)] for p in self.pairs]] = values.T
        return rows


def means(values: Float[np.ndarray, "ablation item"]) -> Float[np.ndarray, " ablation"]:
    """Over the items that have a value; nan where none has."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(1)
    undefined = np.full(len(values), np.nan)
    return np.asarray(np.divide(total, known.sum(1), out=undefined, where=known.any(1)))


def drops(result: SweepResult, prompts: PromptSet, task: str) -> Drops:
    """The drops of one task's items."""
    of_task = np.array([i.task == task for i in prompts.items])
    asked = of_task & result.scorable
    right = asked & (result.clean_correct == 1)
    pair = np.array([i.pair for i in prompts.items])
    clean = result.clean_logit_difference[right]
    log_probability = result.clean_log_probability[right] - result.log_probability[:, right]
    return Drops(
        lost=_by_pair(1.0 - result.correct[:, right], pair[right]),
        logit_difference=_by_pair(clean - result.logit_difference[:, right], pair[right]),
        log_probability=_by_pair(log_probability, pair[right]),
        scale=float(_by_pair(clean[None], pair[right]).mean()) if right.any() else float("nan"),
        pairs=np.array(list(dict.fromkeys(pair[right].tolist()))),
        missed=int(asked.sum() - right.sum()),
        unscored=int(of_task.sum() - asked.sum()),
        before=_by_pair(result.clean_correct[asked][None], pair[asked])[0],
        after=_by_pair(result.correct[:, asked], pair[asked]),
    )


def _by_pair(
    values: Float[np.ndarray, "ablation item"], pair: np.ndarray
) -> Float[np.ndarray, "ablation pair"]:
    """Mean over each pair's items that have a value, pairs in order of first appearance."""
    names = list(dict.fromkeys(pair.tolist()))
    return values if len(names) == len(pair) else mean_by_pair(values, pair, names)


def mean_by_pair(
    values: Float[np.ndarray, "... item"], pair: Sequence[str] | np.ndarray, names: Sequence[str]
) -> Float[np.ndarray, "... pair"]:
    """Mean over each named pair's items that have a value; nan for a pair that has none."""
    place = {name: i for i, name in enumerate(names)}
    member = np.zeros((len(pair), len(place)))
    member[np.arange(len(pair)), [place[str(name)] for name in pair]] = 1
    known = ~np.isnan(values)
    count = known @ member
    undefined = np.full(count.shape, np.nan)
    total = np.where(known, values, 0.0) @ member
    return np.asarray(np.divide(total, count, out=undefined, where=count > 0))


def paired(
    before: Float[np.ndarray, " asked"], after: Float[np.ndarray, " asked"]
) -> stats.PairedTest:
    """McNemar test of shares right by pair: a pair is lost or gained if its share moves."""
    return stats.mcnemar(before > after, after > before)


def measured_drops(
    study: Study,
    prompts: PromptSet,
    ablations: Sequence[Ablation],
    means_over: PromptSet,
) -> dict[str, Drops]:
    """`drops` of every task of these prompts."""
    result = sweep(study.subject, prompts, ablations, means_over)
    return {task: drops(result, prompts, task) for task in prompts.count()}
