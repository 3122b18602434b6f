"""How interventions change the answers of each task.

One sign throughout: edited minus intact. What an ablation takes away is a negative change; the
claims that speak of losses read `TaskEffects.lost` and `TaskEffects.cost`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.activations.swept import SweepResult
from harness.findings.sweeps import swept
from harness.interventions.interventions import Intervention
from harness.materials.items import PromptSet
from harness.study.study import Study


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
class TaskEffects:
    """How interventions change the answers of one task: edited minus intact.

    A pair is the unit: where it holds several items of the task, each value is their mean.

    Attributes:
        pairs: Names of the pairs.
        relations: Of the pairs; "" where the materials state none.
        accuracy: Change of the share of a pair's answers that are correct; nan where the
            intervention does not apply, or the pair has no item.
        logit_difference: Change of answer minus best distractor, nats.
        log_probability: Change of the answer's log-probability, nats.
        intact: Logit difference of the intact model, nats.
        before: Share correct of each pair's scorable items, intact; see `after`.
        after: The same under the intervention. For tests of change, of all pairs with a scorable
            item: these are more than `pairs` where the effects are on correct items alone.
        missed: Items left out because the intact model answers them wrong.
        unscored: Items left out because no distractor differs from the answer in its first token.
    """

    pairs: np.ndarray
    relations: np.ndarray
    accuracy: Float[np.ndarray, "intervention pair"]
    logit_difference: Float[np.ndarray, "intervention pair"]
    log_probability: Float[np.ndarray, "intervention pair"]
    intact: Float[np.ndarray, " pair"]
    before: Float[np.ndarray, " asked"]
    after: Float[np.ndarray, "intervention asked"]
    missed: int
    unscored: int

    @property
    def n(self) -> int:
        """Pairs."""
        return len(self.pairs)

    @property
    def scored(self) -> Bool[np.ndarray, " pair"]:
        """Pairs with an item that can be correct or wrong."""
        return np.asarray(~np.isnan(self.intact))

    @property
    def scale(self) -> float:
        """Mean logit difference of the intact model, nats; nan without a scored pair."""
        known = self.intact[self.scored]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def mean(self) -> Float[np.ndarray, " intervention"]:
        """Mean change of the logit difference, nats."""
        return means(self.logit_difference)

    @property
    def share(self) -> Float[np.ndarray, " intervention"]:
        """The same as a share of the intact logit difference: -1 if nothing of it is left.

        Tasks begin at different heights, and an edit that ruins both takes more nats from the
        one that stood higher.
        """
        return self.mean / self.scale

    @property
    def cost(self) -> Float[np.ndarray, " intervention"]:
        """Share of the intact logit difference that is lost, on average."""
        return 0.0 - self.share

    @property
    def costs(self) -> Float[np.ndarray, "intervention pair"]:
        """Loss of each pair's logit difference as a share of the mean intact one."""
        return 0.0 - self.logit_difference / self.scale

    @property
    def lost(self) -> Float[np.ndarray, "intervention pair"]:
        """Share of each pair's answers that is lost."""
        return 0.0 - self.accuracy

    @property
    def share_lost(self) -> Float[np.ndarray, " intervention"]:
        """Drop of accuracy; nan if an intervention applies to no pair."""
        return means(self.lost)


def means(values: Float[np.ndarray, "intervention pair"]) -> Float[np.ndarray, " intervention"]:
    """Over the pairs that have a value; nan where none has."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(1)
    undefined = np.full(len(values), np.nan)
    return np.asarray(np.divide(total, known.sum(1), out=undefined, where=known.any(1)))


def effects_on_all(result: SweepResult, prompts: PromptSet, task: str) -> TaskEffects:
    """On all items of a task; pairs as in the prompts, the same ones for every task."""
    of_task = _asks(prompts, task)

    def by_pair(values: np.ndarray, items: Bool[np.ndarray, " prompt"]) -> np.ndarray:
        return mean_by_pair(values[..., items], _pairs(prompts)[items], prompts.pairs)

    return _effects(result, prompts, np.array(prompts.pairs), of_task, of_task, of_task, by_pair)


def effects_on_correct(result: SweepResult, prompts: PromptSet, task: str) -> TaskEffects:
    """On the items that the intact model answers correctly: no other answer can be lost."""
    of_task, pair = _asks(prompts, task), _pairs(prompts)
    asked = of_task & result.scorable
    correct = of_task & result.answered

    def by_pair(values: np.ndarray, items: Bool[np.ndarray, " prompt"]) -> np.ndarray:
        return _by_first_appearance(values[..., items], pair[items])

    names = np.array(list(dict.fromkeys(pair[correct].tolist())))
    return _effects(result, prompts, names, of_task, asked, correct, by_pair)


def _effects(
    result: SweepResult,
    prompts: PromptSet,
    pairs: np.ndarray,
    of_task: Bool[np.ndarray, " prompt"],
    asked: Bool[np.ndarray, " prompt"],
    kept: Bool[np.ndarray, " prompt"],
    by_pair: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> TaskEffects:
    """Effects on the `kept` items; accuracy before and after on all that are `asked`."""
    relation = {item.pair: item.relation for item in prompts.items}
    return TaskEffects(
        pairs=pairs,
        relations=np.array([relation[str(pair)] for pair in pairs], dtype=object),
        accuracy=by_pair(result.correct - result.clean_correct, kept),
        logit_difference=by_pair(result.logit_difference - result.clean_logit_difference, kept),
        log_probability=by_pair(result.log_probability - result.clean_log_probability, kept),
        intact=by_pair(result.clean_logit_difference, kept),
        before=by_pair(result.clean_correct, asked),
        after=by_pair(result.correct, asked),
        missed=int(asked.sum() - kept.sum()),
        unscored=int(of_task.sum() - asked.sum()),
    )


def _asks(prompts: PromptSet, task: str) -> Bool[np.ndarray, " prompt"]:
    return np.array([i.task == task for i in prompts.items])


def _pairs(prompts: PromptSet) -> np.ndarray:
    return np.array([i.pair for i in prompts.items])


def _by_first_appearance(
    values: Float[np.ndarray, "... item"], pair: np.ndarray
) -> Float[np.ndarray, "... pair"]:
    """Mean over each pair's items; where every pair has one item, its values in their own dtype."""
    names = list(dict.fromkeys(pair.tolist()))
    return values if len(names) == len(pair) else mean_by_pair(values, pair, names)


def mean_by_pair(
    values: Float[np.ndarray, "... item"], pair: Sequence[str] | np.ndarray, names: Sequence[str]
) -> Float[np.ndarray, "... pair"]:
    """Mean over each named pair's items that have a value; nan for a pair that has none."""
    at = {name: i for i, name in enumerate(names)}
    member = np.zeros((len(pair), len(at)))
    member[np.arange(len(pair)), [at[str(name)] for name in pair]] = 1
    known = ~np.isnan(values)
    count = known @ member
    undefined = np.full(count.shape, np.nan)
    total = np.where(known, values, 0.0) @ member
    return np.asarray(np.divide(total, count, out=undefined, where=count > 0))


def change_test(
    before: Float[np.ndarray, " asked"], after: Float[np.ndarray, " asked"]
) -> stats.PairedTest:
    """McNemar test of shares correct by pair: a pair is lost or gained if its share moves."""
    return stats.mcnemar(before > after, after > before)


def measured_effects(
    study: Study,
    prompts: PromptSet,
    interventions: Sequence[Intervention],
    means_over: PromptSet | None = None,
) -> dict[str, TaskEffects]:
    """Of every task of these prompts, on the items that the intact model answers correctly."""
    result = swept(study.subject, prompts, interventions, means_over=means_over)
    return {task: effects_on_correct(result, prompts, task) for task in prompts.count()}
