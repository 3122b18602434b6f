"""Choosing a task's circuit on discovery facts: by what its parts cause, or how they differ."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, Kind, ranked, sizes
from harness.findings.circuits.neuron_scores import neuron_scores
from harness.findings.effects import (
    TaskEffects,
    effects_on_correct,
    means,
    measured_effects,
    part,
    swept,
)
from harness.findings.specialisation.contrasts import controlled_contrast
from harness.interventions.interventions import INTACT, MEAN, Intervention
from harness.interventions.sites import Site
from harness.materials.items import DISCOVERY, PromptSet
from harness.study.study import Study


@dataclass(frozen=True, slots=True)
class CausalRule:
    """The numbers of a causal claim, from its hypothesis file.

    Attributes:
        doses: Sizes that a circuit may have, as shares of the model's components of its kind.
        alpha: Of every test.
        margin: A task is spared if less than this share of its right answers is lost.
        discovery: Pairs on which circuits are chosen, at most.
        sets: Random sets that a circuit must exceed, at their 95th percentile.
        set_items: Evaluation items that these are run on.
        band_sets, band_items: The same for sizes that are only shown; and the items for a
            circuit that fails another requirement.
    """

    doses: Mapping[Kind, tuple[float, ...]]
    alpha: float
    margin: float
    discovery: int
    sets: int
    set_items: int
    band_sets: int
    band_items: int


def discovery_prompts(study: Study, rule: CausalRule) -> PromptSet:
    """What circuits are chosen on, and whose means a mean ablation writes."""
    return part(study.prompts, DISCOVERY, study.prompts.tasks, rule.discovery)


def shape(study: Study, kind: Kind) -> tuple[int, int]:
    """Layers, and components of a kind in each."""
    architecture = study.subject.architecture
    return architecture.layers, architecture.heads if kind == "head" else architecture.neurons


def component_effects(
    study: Study, kind: Kind, rule: CausalRule
) -> dict[str, Float[np.ndarray, "layer component"]]:
    """What mean-ablating each component costs each task on discovery facts.

    In shares of the task's intact logit difference, over the items answered right. Heads are
    ablated one by one; neurons are scored on the way to the mean ablation of all of them, since
    one alone costs next to nothing where the others are intact.
    """
    prompts = discovery_prompts(study, rule)
    layers, width = shape(study, kind)
    if kind == "head":
        each = [
            Intervention((Site("head", n, h),), MEAN) for n in range(layers) for h in range(width)
        ]
        found = measured_effects(study, prompts, each, prompts)
        return {t: found[t].cost.reshape(layers, width) for t in study.prompts.tasks}
    scored = neuron_scores(study.subject, prompts)
    intact = swept(study.subject, prompts, [INTACT])
    asked = np.array([i.task for i in prompts.items])
    right = scored.scorable & (intact.clean_correct == 1)
    return {
        t: scored.scores[right & (asked == t)].mean(0, dtype=np.float64)
        / effects_on_correct(intact, prompts, t).scale
        for t in study.prompts.tasks
    }


def other_task(study: Study, target: str) -> str:
    """The task that must be spared."""
    first, second = study.prompts.tasks
    return second if target == first else first


def rank_by_specialisation(study: Study, kind: Kind, target: str) -> Circuit | None:
    """Every component by its largest d on crossed discovery prompts: the paper's way to choose.

    None where the materials have no crossed counterpart.
    """
    crossed = study.crossed_counterpart()
    if crossed is None:
        return None
    c = controlled_contrast(kind, study.subject.activations(crossed), crossed)
    d = c.effect(c.split == DISCOVERY).reshape(-1, len(c.cells.metrics))
    strongest = d[np.arange(len(d)), np.abs(np.nan_to_num(d)).argmax(1)]  # nan: it never varies
    sign = 1.0 if target == study.prompts.tasks[0] else -1.0
    return ranked(kind, strongest.reshape(shape(study, kind)), sign)


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A task's circuit.

    Attributes:
        target: The task it is meant to serve.
        effects: What each component costs this task on discovery facts: see `component_effects`.
        ranking: Every component, best first.
        doses: Sizes considered.
        size: The smallest within a standard error of the one that separated the tasks best on
            discovery facts.
    """

    target: str
    effects: Float[np.ndarray, "layer component"]
    ranking: Circuit
    doses: tuple[int, ...]
    size: int

    @property
    def circuit(self) -> Circuit:
        """The components chosen."""
        return self.ranking.top(self.size)


def choose(study: Study, kind: Kind, rule: CausalRule) -> dict[str, Chosen]:
    """Of each task: rank by effect, and take the dose that loses most of it, least of the other.

    Components whose own loss costs the other task more than the margin come last: no circuit with
    one of them can spare it. Of doses, the smallest within one standard error of the best.
    """
    tasks = study.prompts.tasks
    layers, width = shape(study, kind)
    effects = component_effects(study, kind, rule)
    rankings = {
        t: ranked(kind, specificity(effects[t], effects[other], rule.margin))
        for t, other in zip(tasks, tasks[::-1], strict=True)
    }
    doses = sizes(rule.doses[kind], layers * width)
    prompts = discovery_prompts(study, rule)
    each = [Intervention(rankings[t].top(size).sites, MEAN) for t in tasks for size in doses]
    found = measured_effects(study, prompts, each, prompts)
    chosen = {}
    for at, task in enumerate(tasks):
        other = other_task(study, task)
        rows = slice(at * len(doses), (at + 1) * len(doses))
        size = doses[_smallest_as_good(found[task], found[other], rows)]
        chosen[task] = Chosen(task, effects[task], rankings[task], doses, size)
    return chosen


def specificity(
    own: Float[np.ndarray, "layer component"],
    other: Float[np.ndarray, "layer component"],
    margin: float,
) -> Float[np.ndarray, "layer component"]:
    """What a component costs its task more than the other; those that cost the other are last.

    Effects and margin in shares of the intact logit difference.
    """
    difference = own - other
    below = np.nanmin(difference) - np.nanmax(difference) - 1.0  # lower than any other
    return np.asarray(np.where(other > margin, difference + below, difference))


def _smallest_as_good(own: TaskEffects, other: TaskEffects, rows: slice) -> int:
    """The first dose within one standard error of the best; in accuracy, if any loses an answer.

    Else in logits; not among equals in accuracy, as on the items that the ranking is made of every
    further component of its upper half seems to do something. One standard error: the best of
    several doses owes its lead over a smaller one to chance as often as not, and what is larger
    than it need be breaks more than it need (Breiman et al. 1984, on the size of trees).
    """
    logits = (d.costs[rows] for d in (own, other))
    place, found = _first_within(own.lost[rows], other.lost[rows])
    return place if found > 0 else _first_within(*logits)[0]


def _first_within(
    own: Float[np.ndarray, "dose pair"], other: Float[np.ndarray, "dose pair"]
) -> tuple[int, float]:
    """The first row within one standard error of the best difference of means, and that."""
    score = (means(own) - means(other)).round(6)
    best = int(np.nanargmax(score))
    spread = sum(np.nanvar(x[best]) / np.count_nonzero(~np.isnan(x[best])) for x in (own, other))
    return int(np.argmax(score >= score[best] - np.sqrt(spread))), float(score[best])
