"""The finding of h6: at which depth a task's answer is made, and whether recall comes first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.gates import items_gate
from harness.findings.circuits.patching import patching_plots
from harness.findings.circuits.plots import depth_profile
from harness.findings.circuits.selection import selection_prompts
from harness.findings.effects import measured_effects, part
from harness.findings.gates import causal_gates
from harness.findings.specialisation.contrasts import controlled_contrast
from harness.findings.specialisation.rules import ControlledRule
from harness.interventions.interventions import MEAN, Intervention
from harness.interventions.sites import Site
from harness.materials.items import EVALUATION, PromptSet
from harness.study.study import Study
from harness.verdicts.components import Components
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.plots import Plot
from harness.verdicts.samples import by_sample

_POSITIONS = ("all", "subject", "premises", "final")  # tokens at which a layer is ablated
EVERY = _POSITIONS.index("all")
_HALVES = 20  # splits of one task's items, whose depths must not differ


def centroid(costs: Float[np.ndarray, "... layer"]) -> Float[np.ndarray, "..."]:
    """Mean layer, weighted by what each layer's loss costs; nan if no layer costs anything.

    Layers whose loss helps count as zero: a centroid with negative weights can lie anywhere.
    """
    return signed_centroid(np.maximum(costs, 0.0))


def signed_centroid(costs: Float[np.ndarray, "... layer"]) -> Float[np.ndarray, "..."]:
    """The centroid with negative weights for layers whose loss helps; it may lie outside 0 to n.

    Noise that is cut off at zero adds weight to every layer, so it draws the `centroid` of the
    noisier task to the middle layer. Here it cancels out, but the interval is wider.
    """
    layers, total = np.arange(costs.shape[-1]), costs.sum(-1)
    undefined = np.full(total.shape, np.nan)
    return np.asarray(np.divide(costs @ layers, total, out=undefined, where=total > 0))


@dataclass(frozen=True)
class Profiles:
    """What each layer's loss costs each task, pair by pair.

    Attributes:
        costs: By task, as shares of its mean intact logit difference; nan where the intact model
            misses the item, or the item has no such position.
        depth: By task, the centroid of its mean costs at all tokens.
        gates: All of them met.
    """

    study: Study
    prompts: PromptSet
    costs: Mapping[str, Float[np.ndarray, "pair position layer"]]
    depth: Mapping[str, Float[np.ndarray, ""]]
    gates: tuple[Gate, ...]

    @property
    def tasks(self) -> tuple[str, str]:
        """The contrast."""
        return self.study.prompts.tasks

    def n(self, position: int) -> int:
        """Pairs of the task that has fewer, at a position."""
        return min(_known(self.costs[t][:, position]) for t in self.tasks)

    def by_task(self, position: int) -> Float[np.ndarray, "pair task layer"]:
        """Costs at a position."""
        return np.stack([self.costs[t][:, position] for t in self.tasks], axis=1)

    def difference(
        self,
        position: int = EVERY,
        of: Callable[[np.ndarray], np.ndarray] = centroid,
    ) -> stats.Estimate:
        """Second task's centroid minus the first's; pairs are resampled for both together."""
        values, plan = self.by_task(position), self.study.plan
        known = ~np.isnan(values).all((1, 2))
        return stats.bootstrap_of_means(
            values[known],
            lambda means: of(means[:, 1]) - of(means[:, 0]),
            resamples=plan.resamples,
            seed=plan.seed,
        )


def depth_finding(study: Study, specialised: ControlledRule, *, pairs: int, gate: float) -> Finding:
    """Difference of the two tasks' causal depth centroids, reasoning minus recall, in layers.

    Args:
        study: The model and the materials.
        specialised: The rule of h1, for the order of the layers that it finds.
        pairs: Discovery pairs whose mean activations an ablation writes, at most.
        gate: Least accuracy on each task.
    """
    profiles = _measure(study, pairs, gate)
    difference, *others = _requirements(profiles)
    order = _observed(study, specialised, difference.effect.value)
    return Finding(
        evidence=(difference, *others, *_at_positions(profiles), *order),
        controls=_halves(profiles),
        gates=profiles.gates,
        samples={difference.name: _samples(profiles)},
        plots=(_profile_plot(profiles), *patching_plots(study)),
    )


def _measure(study: Study, pairs: int, gate: float) -> Profiles:
    """Ablate every layer at every position, on evaluation items.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    layers, tasks = study.subject.architecture.layers, study.prompts.tasks
    one = f"the model has {layers} layer: there is no order of layers"
    gates = require(*causal_gates(study, gate), Gate("layers", layers > 1, one))
    prompts = part(study.prompts, EVALUATION, tasks)
    costs = _costs(study, prompts, pairs)
    gates = require(*gates, *(items_gate(t, _known(costs[t][:, EVERY])) for t in tasks))
    depth = {t: centroid(np.nanmean(costs[t][:, EVERY], 0)) for t in tasks}
    gates = require(*gates, *(_depth_gate(t, depth[t]) for t in tasks))
    return Profiles(study, prompts, costs, depth, gates)


def _costs(
    study: Study, prompts: PromptSet, pairs: int
) -> dict[str, Float[np.ndarray, "pair position layer"]]:
    layers = study.subject.architecture.layers
    each = [
        Intervention((Site("attn", layer), Site("mlp", layer)), MEAN, position)
        for position in _POSITIONS
        for layer in range(layers)
    ]
    effects = measured_effects(study, prompts, each, selection_prompts(study, pairs))
    shape = (len(prompts.pairs), len(_POSITIONS), layers)
    return {t: e.aligned(e.costs, prompts.pairs).reshape(shape) for t, e in effects.items()}


def _known(costs: Float[np.ndarray, "pair layer"]) -> int:
    """Pairs that have a value."""
    return int((~np.isnan(costs).any(1)).sum())


def _depth_gate(task: str, depth: np.ndarray) -> Gate:
    reason = f"no layer's loss costs {task} anything: its depth is undefined"
    return Gate(f"{task} depth", not np.isnan(depth), reason)


def _requirements(profiles: Profiles) -> tuple[Evidence, Evidence]:
    """The difference is above 0, and so is that of the signed centroids."""
    first, second = profiles.tasks
    n, estimate = profiles.n(EVERY), profiles.difference()
    effect = Effect(
        "layers",
        float(estimate.value),
        (float(estimate.low), float(estimate.high)),
        method=f"centroids {profiles.depth[second]:.2f} and {profiles.depth[first]:.2f}; each "
        "layer's attention and MLP mean-ablated at every token; paired bootstrap of facts",
    )
    name = f"depth of {second} minus depth of {first}"
    return (
        Evidence(name, effect, threshold=0, relation=">", n=n),
        _not_by_noise(profiles.difference(of=signed_centroid), n),
    )


def _not_by_noise(signed: stats.Estimate, n: int) -> Evidence:
    return Evidence(
        "the same, layers whose loss helps counted as negative",
        Effect(
            "layers",
            float(signed.value),
            (float(signed.low), float(signed.high)),
            method="noise cannot draw this centroid to the middle",
        ),
        threshold=0,
        relation=">",
        n=n,
    )


def _samples(profiles: Profiles) -> dict[str, float]:
    """Each pair's part in the difference, to compare it with another run on the same pairs."""
    values = stats.pseudo_values(
        profiles.by_task(EVERY), lambda means: centroid(means[:, 1]) - centroid(means[:, 0])
    )
    return by_sample(profiles.prompts.pairs, values)


def _at_positions(profiles: Profiles) -> list[Evidence]:
    """Secondary: the difference with layers ablated at some of the tokens."""
    rows = []
    for at, name in enumerate(_POSITIONS):
        n = profiles.n(at)
        if at == EVERY or n < 2:
            continue
        estimate = profiles.difference(at)
        between = (float(estimate.low), float(estimate.high))
        effect = Effect("layers", float(estimate.value), between)
        rows.append(Evidence(f"the same, ablated at the {name} tokens", effect, n=n))
    return rows


def _observed(study: Study, rule: ControlledRule, causal: float) -> list[Evidence]:
    """Secondary: the order of the layers that h1 finds, and whether it is the causal one."""
    crossed = study.crossed_counterpart()
    if crossed is None:
        return []
    c = controlled_contrast("layer", study.subject.activations(crossed), crossed)
    order = observed_order(rule(c), study.prompts.tasks)
    if np.isnan(order):
        words = "no layer of one of the kinds"
    else:
        agrees = "agrees" if np.sign(order) == np.sign(causal) else "does not agree"
        words = f"{agrees} with the causal order"
    method = f"mean layer by type, crossed prompts, as in h1; {words}"
    name = "observational order of the specialised layers"
    return [Evidence(name, Effect("layers", order, method=method))]


def observed_order(table: Components, tasks: Sequence[str]) -> float:
    """Mean layer of the second task's type minus the first's; nan if a type has no layer."""
    of = [table.layer[table.passed & (table.type == t)] for t in tasks]
    if not all(map(len, of)):
        return float("nan")
    return float(of[1].mean() - of[0].mean())


def _halves(profiles: Profiles) -> tuple[Control, ...]:
    """How far the centroids of random halves of one task's pairs lie apart."""
    generator = np.random.default_rng(profiles.study.plan.seed)
    controls = []
    for task in profiles.tasks:
        costs = profiles.costs[task][:, EVERY]
        costs = costs[~np.isnan(costs).any(1)]
        gaps = []
        for _ in range(_HALVES):
            order = generator.permutation(len(costs))
            one, two = (centroid(costs[half].mean(0)) for half in (order[::2], order[1::2]))
            gaps.append(float(one - two))
        controls.append(
            Control(
                f"{task} against itself, largest of {_HALVES} splits",
                float(np.abs(gaps).max()),
                None,
                note="layers between the centroids of two random halves of the facts",
            )
        )
    return tuple(controls)


def _profile_plot(profiles: Profiles) -> Plot:
    """The mean costs, at the positions that some item of each task has."""
    costs, tasks = profiles.costs, profiles.tasks
    drawn = [
        at
        for at in range(len(_POSITIONS))
        if not any(np.isnan(costs[t][:, at]).all() for t in tasks)
    ]
    depths = ", ".join(f"{t} {profiles.depth[t]:.2f}" for t in tasks)
    return depth_profile(
        {t: np.nanmean(costs[t][:, drawn], 0) for t in tasks},
        [f"{_POSITIONS[at]} tokens" for at in drawn],
        tasks,
        len(costs[tasks[0]]),
        f"Depth centroids, all tokens: {depths}.",
    )
