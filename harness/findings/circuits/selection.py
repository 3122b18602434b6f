"""Selecting a task's circuit on discovery items: by what its parts cause, or how they differ."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, CircuitKind, ranked, sizes
from harness.findings.circuits.neuron_scores import neuron_scores
from harness.findings.circuits.rules import Selection
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


def selection_prompts(study: Study, pairs: int) -> PromptSet:
    """The discovery items that circuits are selected on, and whose means a mean ablation writes."""
    return part(study.prompts, DISCOVERY, study.prompts.tasks, pairs)


def shape(study: Study, kind: CircuitKind) -> tuple[int, int]:
    """Layers, and components of a kind in each."""
    architecture = study.subject.architecture
    return architecture.layers, architecture.heads if kind == "head" else architecture.neurons


def component_effects(
    study: Study, kind: CircuitKind, pairs: int
) -> dict[str, Float[np.ndarray, "layer component"]]:
    """What mean-ablating each component costs each task on discovery items.

    As shares of the task's intact logit difference, over the items answered correctly. Heads are
    ablated one by one. Neurons are scored on the way to the mean ablation of all of them, because
    the loss of a single neuron costs almost nothing while the others are intact.
    """
    prompts = selection_prompts(study, pairs)
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
    correct = scored.scorable & (intact.clean_correct == 1)
    return {
        t: scored.scores[correct & (asked == t)].mean(0, dtype=np.float64)
        / effects_on_correct(intact, prompts, t).scale
        for t in study.prompts.tasks
    }


def other_task(study: Study, target: str) -> str:
    """The task that must be spared."""
    first, second = study.prompts.tasks
    return second if target == first else first


def rank_by_specialisation(study: Study, kind: CircuitKind, target: str) -> Circuit | None:
    """Every component by its largest d on crossed discovery prompts, which is the paper's way.

    None if the materials have no crossed counterpart.
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
class SelectedCircuit:
    """The circuit that is selected for a task.

    Attributes:
        target: The task.
        effects: What each component costs this task on discovery items: see `component_effects`.
        ranking: Every component, best first.
        doses: Sizes considered.
        size: The smallest within a standard error of the size that separated the tasks best on
            discovery items.
    """

    target: str
    effects: Float[np.ndarray, "layer component"]
    ranking: Circuit
    doses: tuple[int, ...]
    size: int

    @property
    def circuit(self) -> Circuit:
        """The selected components."""
        return self.ranking.top(self.size)


def select_circuits(
    study: Study, kind: CircuitKind, selection: Selection
) -> dict[str, SelectedCircuit]:
    """For each task the components that cost it most, as many as lose it most and the other least.

    Components whose own loss costs the other task more than the margin are ranked last: no circuit
    that holds one of them can spare that task. The size is the smallest within one standard error
    of the best.
    """
    tasks = study.prompts.tasks
    layers, width = shape(study, kind)
    effects = component_effects(study, kind, selection.pairs)
    rankings = {
        t: ranked(kind, specificity(effects[t], effects[other], selection.margin))
        for t, other in zip(tasks, tasks[::-1], strict=True)
    }
    doses = sizes(selection.doses[kind], layers * width)
    prompts = selection_prompts(study, selection.pairs)
    each = [Intervention(rankings[t].top(size).sites, MEAN) for t in tasks for size in doses]
    measured = measured_effects(study, prompts, each, prompts)
    selected = {}
    for at, task in enumerate(tasks):
        other = other_task(study, task)
        rows = slice(at * len(doses), (at + 1) * len(doses))
        size = doses[_smallest_as_good(measured[task], measured[other], rows)]
        selected[task] = SelectedCircuit(task, effects[task], rankings[task], doses, size)
    return selected


def specificity(
    own: Float[np.ndarray, "layer component"],
    other: Float[np.ndarray, "layer component"],
    margin: float,
) -> Float[np.ndarray, "layer component"]:
    """How much more a component costs its task than the other; those that cost the other are last.

    Effects and margin are shares of the intact logit difference.
    """
    difference = own - other
    below = np.nanmin(difference) - np.nanmax(difference) - 1.0  # lower than any other
    return np.asarray(np.where(other > margin, difference + below, difference))


def _smallest_as_good(own: TaskEffects, other: TaskEffects, rows: slice) -> int:
    """The first dose within one standard error of the best.

    Compared in accuracy if any dose loses an answer, otherwise in logits. Doses that are equal in
    accuracy are not told apart by logits: on the items that the ranking was made on, every further
    component of its upper half seems to do something. One standard error, because the best of
    several doses is as often as not better than a smaller one by chance, and a circuit larger than
    necessary breaks more than necessary (Breiman et al. 1984, on the size of trees).
    """
    logits = (d.costs[rows] for d in (own, other))
    first, difference = _first_within(own.lost[rows], other.lost[rows])
    return first if difference > 0 else _first_within(*logits)[0]


def _first_within(
    own: Float[np.ndarray, "dose pair"], other: Float[np.ndarray, "dose pair"]
) -> tuple[int, float]:
    """The first row within one standard error of the best difference of means, and the best."""
    score = (means(own) - means(other)).round(6)
    best = int(np.nanargmax(score))
    spread = sum(np.nanvar(x[best]) / np.count_nonzero(~np.isnan(x[best])) for x in (own, other))
    return int(np.argmax(score >= score[best] - np.sqrt(spread))), float(score[best])
