"""The finding of h6 on processes: at which depth a model retrieves, and at which it composes.

What a layer's loss costs recall is not all retrieval: reading the question costs lookup as much.
So a process's profile is what its own cell loses beyond lookup, layer by layer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.activations.swept import SweepResult
from harness.findings.circuits.patching import patching_plots
from harness.findings.circuits.plots import depth_profile
from harness.findings.effects import means, swept
from harness.findings.gates import items_gate
from harness.findings.processes.centroid import centroid, signed_centroid
from harness.findings.processes.circuit import CELLS
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.findings.processes.materials import LEAST_RELATIONS, asked_first, design_gates
from harness.findings.processes.selected import interval_over_relations
from harness.findings.requirements import beyond_same_process
from harness.interventions.interventions import MEAN, Intervention
from harness.interventions.sites import Site
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.plots import Plot
from harness.verdicts.samples import by_sample
from harness.verdicts.severity import Severity

HALVES = 20  # random halves of each cell's relations, whose depths are no difference of process
PROCESSES = (RETRIEVAL, COMPOSING)
Centroid = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Profiles:
    """What each layer's loss costs each cell, relation by relation.

    Attributes:
        costs: By cell, as shares of its mean intact logit difference.
        relations: Those with items of every cell that the intact model answers right.
        gates: All of them met.
    """

    study: Study
    costs: dict[str, Float[np.ndarray, "relation layer"]]
    relations: tuple[str, ...]
    gates: tuple[Gate, ...]

    @property
    def layers(self) -> int:
        """Of the model."""
        return self.study.subject.architecture.layers

    @property
    def processes(self) -> Float[np.ndarray, "relation process layer"]:
        """What the cell of retrieval, and that of composing, loses beyond lookup."""
        both = [self.costs[p.cells[0]] - self.costs[p.cells[1]] for p in PROCESSES]
        return np.stack(both, axis=1)

    def depth(self, of: Centroid = centroid) -> Float[np.ndarray, " process"]:
        """Centroid of each process's mean profile, in layers."""
        return of(self.processes.mean(0))

    def between(self, of: Centroid) -> tuple[float, float]:
        """The interval of the difference of depths, over relations."""
        values = self.processes
        return interval_over_relations(
            lambda weights: _difference(of(np.tensordot(weights, values, 1))),
            self.relations,
            self.study.plan,
        )


def _difference(depth: Float[np.ndarray, "... process"]) -> float:
    """Composing minus retrieval."""
    return float(depth[1] - depth[0])


def process_depth_finding(study: Study, *, least: float, gate: float) -> Finding:
    """Whether retrieval lies at less depth than composing, beyond same-process differences.

    Args:
        study: The model, on prompts with one question each.
        least: Difference of the centroids, as a share of the model's layers.
        gate: Least accuracy in each of recall, lookup and reasoning.
    """
    profiles = _measure(study, gate)
    same, bar = np.array(list(_same_process(profiles))), least * profiles.layers
    difference = _deeper(profiles, bar)
    return Finding(
        (difference, _signed(profiles), _beyond(profiles, same)),
        gates=profiles.gates,
        notes=(_cells_note(profiles),),
        samples={difference.name: _samples(profiles)},
        plots=(_plot(profiles), *patching_plots(study)),
        severity=_severity(same, bar),
    )


def _measure(study: Study, gate: float) -> Profiles:
    """Ablate every layer, on evaluation items.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    layers = study.subject.architecture.layers
    one = f"the model has {layers} layer: there is no order of layers"
    gates = require(*design_gates(study, RETRIEVAL.cells), *design_gates(study, COMPOSING.cells))
    gates += require(Gate("layers", layers > 1, one), *asked_first(study, CELLS, gate))
    judging, mean_of = (_part(study.prompts, split) for split in (EVALUATION, DISCOVERY))
    each = [Intervention((Site("attn", n), Site("mlp", n)), MEAN) for n in range(layers)]
    result = swept(study.subject, judging, each, means_over=mean_of)
    right = _answered_right(result, judging)
    gates += require(*(items_gate(cell, int(rows.sum())) for cell, rows in right.items()))
    relation = np.array([item.relation for item in judging.items])
    names = _in_all(right, relation)
    gates += require(_relations_gate(len(names)))
    costs = {
        cell: _shares(
            result.lost[:, rows], result.clean_logit_difference[rows], relation[rows], names
        )
        for cell, rows in right.items()
    }
    gates += require(*_depth_gates(Profiles(study, costs, names, gates)))
    return Profiles(study, costs, names, gates)


def _answered_right(
    result: SweepResult, prompts: PromptSet
) -> dict[str, Bool[np.ndarray, " item"]]:
    """Items of each cell that the intact model answers right."""
    asked = np.array([cell_of(item) for item in prompts.items])
    return {cell: result.answered & (asked == cell) for cell in CELLS}


def _part(prompts: PromptSet, split: str) -> PromptSet:
    return prompts.where(lambda item: item.split == split and cell_of(item) in CELLS)


def _in_all(right: dict[str, Bool[np.ndarray, " item"]], relation: np.ndarray) -> tuple[str, ...]:
    """Relations with an item of every cell that is answered right."""
    found = [set(relation[rows].tolist()) for rows in right.values()]
    return tuple(sorted(set.intersection(*found) - {""}))


def _shares(
    lost: Float[np.ndarray, "layer item"],
    intact: Float[np.ndarray, " item"],
    relation: np.ndarray,
    names: tuple[str, ...],
) -> Float[np.ndarray, "relation layer"]:
    """Loss of each relation over the intact logit difference, which is a mean over relations."""
    both = np.vstack([lost, intact])
    by_relation = np.array([means(both[:, relation == name]) for name in names])
    return np.asarray(by_relation[:, :-1] / by_relation[:, -1].mean())


def _relations_gate(found: int) -> Gate:
    return Gate(
        "relations answered",
        found >= LEAST_RELATIONS,
        f"items of {', '.join(CELLS)} are answered right in {found} relations; {LEAST_RELATIONS} "
        "are needed to tell a process from a question",
    )


def _depth_gates(profiles: Profiles) -> list[Gate]:
    """Both processes cost something: noise has a centroid too, anywhere.

    All layers together must cost a process's own cell more than lookup, by an interval over
    relations.
    """
    gates, plan = [], profiles.study.plan
    for process, values in zip(PROCESSES, profiles.processes.sum(2).T, strict=True):
        low, high = interval_over_relations(values.dot, profiles.relations, plan)
        reason = (
            f"the loss of layers costs {process.cells[0]} not clearly more than lookup (all layers "
            f"together {values.mean():.2f} [{low:.2f}, {high:.2f}] of the logit difference): the "
            f"depth of {process.name} is undefined"
        )
        gates.append(Gate(f"{process.name} depth", low > 0, reason))
    return gates


def _deeper(profiles: Profiles, bar: float) -> Evidence:
    retrieval, composing = profiles.depth()
    return Evidence(
        "depth of composing minus depth of retrieval",
        Effect(
            "layers",
            float(composing - retrieval),
            profiles.between(centroid),
            method=f"centroids {composing:.2f} and {retrieval:.2f} of what reasoning, and recall, "
            "loses beyond lookup; each layer's attention and MLP mean-ablated at every token; "
            "bootstrap of relations",
        ),
        threshold=bar,
        relation=">=",
        n=len(profiles.relations),
        key="difference",
    )


def _signed(profiles: Profiles) -> Evidence:
    """Clipped noise draws the centroid of the noisier process to the middle; here it cancels."""
    return Evidence(
        "the same, layers whose loss helps counted as negative",
        Effect(
            "layers",
            _difference(profiles.depth(signed_centroid)),
            profiles.between(signed_centroid),
            method="noise cannot draw this centroid to the middle; bootstrap of relations",
        ),
        threshold=0,
        relation=">",
        n=len(profiles.relations),
        key="signed",
    )


def _same_process(profiles: Profiles) -> Iterator[float]:
    """How far apart the centroids of random halves of one cell's relations lie, in layers."""
    generator = np.random.default_rng(profiles.study.plan.seed)
    for cell in CELLS:
        costs = profiles.costs[cell]
        for _ in range(HALVES):
            order = generator.permutation(len(costs))
            one, other = (centroid(costs[half].mean(0)) for half in (order[::2], order[1::2]))
            # A depth that is undefined could lie anywhere: as far away as layers can.
            yield float(np.nan_to_num(np.abs(one - other), nan=profiles.layers - 1))


def _beyond(profiles: Profiles, same: Float[np.ndarray, " half"]) -> Evidence:
    return beyond_same_process(
        "further apart than questions of one process",
        Effect("layers", abs(_difference(profiles.depth()))),
        same,
        "random halves of the relations of one cell",
        key="beyond",
    )


def _severity(same: Float[np.ndarray, " half"], bar: float) -> Severity:
    """How many same-process differences reach the bar."""
    return Severity(int((same >= bar).sum()), len(same))


def _cells_note(profiles: Profiles) -> str:
    depths = {cell: float(centroid(profiles.costs[cell].mean(0))) for cell in CELLS}
    listed = ", ".join(f"{cell} {depth:.2f}" for cell, depth in depths.items())
    return f"depth of each cell's own costs, in layers: {listed}"


def _samples(profiles: Profiles) -> dict[str, float]:
    """Each relation's part in the difference; none where it hangs on one relation."""
    values = stats.pseudo_values(
        profiles.processes, lambda rows: centroid(rows[:, 1]) - centroid(rows[:, 0])
    )
    return by_sample(profiles.relations, values) if np.isfinite(values).all() else {}


def _plot(profiles: Profiles) -> Plot:
    names = (RETRIEVAL.name, COMPOSING.name)
    profile = dict(zip(names, profiles.processes.mean(0)[:, None], strict=True))
    depths = ", ".join(
        f"{name} {depth:.2f}" for name, depth in zip(names, profiles.depth(), strict=True)
    )
    count = len(profiles.relations)
    return depth_profile(
        profile, ["all tokens"], names, count, f"Depth centroids, relations as units: {depths}."
    )
