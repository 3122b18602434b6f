"""The finding of h6 on processes: at which depth a model retrieves, and at which it composes.

A whole layer also reads the question, so that its loss costs every cell. What a process needs
beyond that are its circuits (h5): they are found on some relations, and each layer's part of them
is ablated alone in the others. The depth of a process is the mean layer of what that costs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.circuits.patching import patching_plots
from harness.findings.circuits.plots import depth_profile
from harness.findings.processes.circuit import Ablated, CircuitRule, ablate, rows_of_cells
from harness.findings.processes.circuit_search import Found, Search, searched
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.selected import interval_over_relations
from harness.findings.requirements import beyond_same_process
from harness.interventions.sites import Site
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.plots import Plot
from harness.verdicts.samples import by_sample
from harness.verdicts.severity import Severity

PROCESSES = (RETRIEVAL, COMPOSING)
KINDS: tuple[CircuitKind, ...] = ("head", "neuron")  # both make one circuit


@dataclass(frozen=True, slots=True)
class Part:
    """What of a circuit lies in one layer, heads and neurons."""

    sites: tuple[Site, ...]


@dataclass(frozen=True)
class Profiles:
    """What each layer's part of a circuit costs its process, relation by relation.

    Attributes:
        searches: For heads and for neurons.
        found: By process, the circuit of each search.
        costs: What its own cell loses beyond lookup, as shares of the intact logit differences.
        own: What its own cell loses.
        ratios: By process, lookup's intact logit difference as a multiple of its own cell's.
        relations: Those judged on, that had no part in the search.
        gates: All of them met.
    """

    study: Study
    searches: tuple[Search, ...]
    found: tuple[tuple[Found, ...], ...]
    costs: Float[np.ndarray, "relation process layer"]
    own: Float[np.ndarray, "relation process layer"]
    ratios: tuple[float, ...]
    relations: tuple[str, ...]
    gates: tuple[Gate, ...]

    @property
    def layers(self) -> int:
        """Of the model."""
        return self.study.subject.architecture.layers

    @property
    def depth(self) -> Float[np.ndarray, " process"]:
        """Centroid of each process's mean profile, in layers."""
        return centroid(self.costs.mean(0))

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """How many heads and neurons the circuit of each process has."""
        return tuple(tuple(each.size for each in circuits) for circuits in self.found)


def centroid(costs: Float[np.ndarray, "... layer"]) -> Float[np.ndarray, "..."]:
    """Mean layer, weighted by what each layer's loss costs; nan if all together cost nothing.

    A layer whose loss helps has a negative weight. Cut off at zero, noise would add weight to
    every layer and draw the noisier of two profiles to the middle; here it cancels out.
    """
    layers, total = np.arange(costs.shape[-1]), costs.sum(-1)
    undefined = np.full(total.shape, np.nan)
    return np.asarray(np.divide(costs @ layers, total, out=undefined, where=total > 0))


def process_depth_finding(
    study: Study, rule: CircuitRule, *, least: float, beyond: float, gate: float
) -> Finding:
    """Whether retrieval lies at less depth than composing, beyond same-process differences.

    Args:
        study: The model, on prompts with one question each.
        rule: How circuits are found.
        least: Difference of the centroids, as a share of the model's layers.
        beyond: Of what a circuit's loss costs its own cell, the share that lookup must not lose.
        gate: Least accuracy in each of recall, lookup and reasoning.
    """
    profiles = _measure(study, rule, beyond, gate)
    same, bar = np.array(list(same_process_distances(profiles))), least * profiles.layers
    difference, further = deeper(profiles, bar), further_apart(profiles, same, bar)
    alike = (same >= bar) & (same > np.float64(further.threshold))  # the rule would support these
    return Finding(
        (difference, further),
        gates=profiles.gates,
        notes=(_circuits_note(profiles),),
        samples={difference.name: _samples(profiles)},
        plots=(_plot(profiles), *patching_plots(study)),
        severity=Severity.of(alike),
    )


def _measure(study: Study, rule: CircuitRule, beyond: float, gate: float) -> Profiles:
    """Find the circuits on some relations, ablate their parts in the others.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    layers = study.subject.architecture.layers
    one = f"the model has {layers} layer: there is no order of layers"
    gates = require(Gate.of("layers", layers > 1, unmet=one))
    searching = [searched(study, kind, COMPOSING, rule, gate) for kind in KINDS]
    gates += searching[0][0]
    parts, searches = searching[0][1], tuple(search for *_, search in searching)
    found = tuple(tuple(s.circuit_of(process.target) for s in searches) for process in PROCESSES)
    each = parts_by_layer(found, layers)
    ablated = ablate(study, parts.judging, each, means_over=parts.selection).answered()
    profiles = profiles_of(study, searches, found, ablated, gates)
    return replace(profiles, gates=gates + require(*depth_gates(profiles, beyond)))


def profiles_of(
    study: Study,
    searches: tuple[Search, ...],
    found: tuple[tuple[Found, ...], ...],
    ablated: Ablated,
    gates: tuple[Gate, ...] = (),
) -> Profiles:
    """What each layer's part costs its process, from what it costs each cell.

    Args:
        study: The model, for its number of layers.
        searches: For heads and for neurons.
        found: By process, the circuit of each search.
        ablated: The sets of `parts_by_layer`, in their order.
        gates: All of them met.
    """
    layers = study.subject.architecture.layers
    own, lookup = (_by_process(ablated, at, layers) for at in (0, 1))
    cells = (process.cells for process in PROCESSES)
    ratios = tuple(ablated.heights[without] / ablated.heights[own] for own, without in cells)
    return Profiles(study, searches, found, own - lookup, own, ratios, ablated.relations, gates)


def parts_by_layer(found: Sequence[Sequence[Found]], layers: int) -> list[Part]:
    """What of each process's circuit lies in each layer, process by process.

    Args:
        found: By process, circuits that together make one.
        layers: Of the model.
    """
    return [_in_layer(circuits, layer) for circuits in found for layer in range(layers)]


def _by_process(
    ablated: Ablated, cell: int, layers: int
) -> Float[np.ndarray, "relation process layer"]:
    """What each layer's part of each circuit costs the process's first or second cell."""
    each = [
        ablated.costs[process.cells[cell]][:, at * layers : (at + 1) * layers]
        for at, process in enumerate(PROCESSES)
    ]
    return np.stack(each, axis=1)


def _in_layer(circuits: Sequence[Found], layer: int) -> Part:
    return Part(
        tuple(site for each in circuits for site in each.circuit.sites if site.layer == layer)
    )


def depth_gates(profiles: Profiles, beyond: float) -> list[Gate]:
    """Both circuits cost their process something beyond reading: noise has a centroid too.

    A circuit that costs lookup nearly as much serves reading: its depth says nothing of a process.
    Nor does that of one whose loss makes lookup better more than it costs the process. Both are
    asked of shares and of nats: what takes the same of either in all cells serves none of them.
    """
    gates = []
    each = zip(profiles.own.sum(2).T, profiles.costs.sum(2).T, profiles.ratios, strict=True)
    for process, (own, more, ratio) in zip(PROCESSES, each, strict=True):
        in_nats = own - ratio * (own - more)

        def least(
            weights: Float[np.ndarray, " relation"],
            own: np.ndarray = own,
            each: tuple[np.ndarray, ...] = (more, in_nats),
        ) -> float:
            return float(
                min(weights @ x for m in each for x in (m, m - beyond * own, own - beyond * m))
            )

        low, _ = interval_over_relations(least, profiles.relations, profiles.study.plan)
        found = (
            f"in the relations it is judged on, the circuit of {process.name} costs "
            f"{process.target} {own.mean():.2f} of the logit difference (its layers together), "
            f"{more.mean():.2f} beyond lookup (in nats {in_nats.mean():.2f})"
        )
        unmet = (
            f": not clearly at least {beyond:.0%} of it, or not clearly by a loss of its own, so "
            "that its depth may be that of reading"
        )
        gates.append(Gate.of(f"{process.name} depth", low > 0, found, unmet=unmet))
    return gates


def _difference(depth: Float[np.ndarray, " process"]) -> float:
    """Composing minus retrieval."""
    return float(depth[1] - depth[0])


def deeper(profiles: Profiles, bar: float) -> Evidence:
    """The requirement that composing lie deeper than retrieval by at least `bar` layers."""
    retrieval, composing = profiles.depth
    between = interval_over_relations(
        lambda weights: _difference(centroid(np.tensordot(weights, profiles.costs, 1))),
        profiles.relations,
        profiles.study.plan,
    )
    return Evidence(
        "depth of composing minus depth of retrieval",
        Effect(
            "layers",
            float(composing - retrieval),
            between,
            method=f"centroids {composing:.2f} and {retrieval:.2f} of what reasoning, and recall, "
            "loses beyond lookup without each layer's part of the circuit; mean ablation; "
            "bootstrap of relations",
        ),
        threshold=bar,
        relation=">=",
        n=len(profiles.relations),
        key="difference",
    )


def further_apart(profiles: Profiles, same: Float[np.ndarray, " half"], bar: float) -> Evidence:
    """The requirement that both lie further apart than circuits of one process do.

    It is judged on the relations searched, where halves of them give circuits of one process too.
    Composing must be the deeper one there as well.

    Args:
        profiles: Of the claim.
        same: Distances of two circuits of one process, in layers.
        bar: Least distance of the claim, in layers: how many of `same` reach it is said.
    """
    relation = _relations_searched(profiles)
    value = _between(profiles, np.ones(len(relation), dtype=bool))
    left_out = [_between(profiles, relation != name) for name in np.unique(relation)]
    half = _jackknife_half_width(np.array(left_out))
    return beyond_same_process(
        "as found, further apart than one process in other questions",
        Effect("layers", value, (value - half, value + half)),
        same,
        "pairs of circuits of one process, each found on another half of the relations "
        f"({int((same >= bar).sum())} of them {bar:.2g} layers apart or more); jackknife interval",
        key="beyond",
    )


def _relations_searched(profiles: Profiles) -> np.ndarray:
    """Of each prompt that circuits are found on."""
    return np.array([item.relation for item in profiles.searches[0].prompts.items])


def _between(profiles: Profiles, within: Bool[np.ndarray, " prompt"]) -> float:
    """Depth of composing minus that of retrieval, as found on some prompts."""
    retrieval, composing = (_as_found(profiles, at, within) for at in range(len(PROCESSES)))
    return composing - retrieval


def _jackknife_half_width(left_out: Float[np.ndarray, " relation"]) -> float:
    """Half of the 95 % interval of a number, from its values with each relation left out.

    Tukey 1958; Student's t with as many degrees of freedom as relations less one.
    """
    n = len(left_out)
    error = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
    return float(stats.student_quantile(0.975, n - 1) * error)


def same_process_distances(profiles: Profiles) -> Iterator[float]:
    """How many layers apart circuits of one process lie, found on random halves of the relations.

    Yields as many distances for each process as the rule of the search draws.
    """
    generator = np.random.default_rng(profiles.study.plan.seed)
    relation = _relations_searched(profiles)
    names = np.unique(relation)
    for at in range(len(PROCESSES)):
        for _ in range(profiles.searches[0].rule.draws):
            half = np.isin(relation, generator.permutation(names)[: len(names) // 2])
            one, other = (_as_found(profiles, at, rows) for rows in (half, ~half))
            yield _apart(profiles, one, other)


def _apart(profiles: Profiles, one: float, other: float) -> float:
    """Distance of two depths; one that is undefined could lie anywhere: as far as layers can."""
    return float(np.nan_to_num(np.abs(one - other), nan=profiles.layers - 1))


def _as_found(profiles: Profiles, at: int, within: Bool[np.ndarray, " prompt"] | np.bool_) -> float:
    """Depth of the best components for a process, each on its own, as the search sees them.

    Args:
        profiles: Of the claim, whose circuits have the same sizes and orders.
        at: Which process.
        within: The prompts to find them on.
    """
    selection = profiles.searches[0].prompts
    rows = [of & within for of in rows_of_cells(selection, PROCESSES[at].target)]
    each = zip(profiles.searches, profiles.found[at], strict=True)
    return float(centroid(np.sum([_by_layer(s, rows, found) for s, found in each], axis=0)))


def _by_layer(
    search: Search, rows: Sequence[np.ndarray], found: Found
) -> Float[np.ndarray, " layer"]:
    """What the best components cost the first group beyond the others, each on its own."""
    scores = search.scores(rows)
    best = search.ranking(rows, sparing=found.sparing).top(found.size)
    total = np.zeros(search.layers)
    np.add.at(total, best.layer, np.maximum(scores[best.layer, best.index], 0))
    return total


def _circuits_note(profiles: Profiles) -> str:
    each = (
        f"{process.name} {heads:,} heads and {neurons:,} neurons"
        for process, (heads, neurons) in zip(PROCESSES, profiles.sizes, strict=True)
    )
    return (
        f"circuits: {'; '.join(each)}; judged on {len(profiles.relations)} relations they were "
        f"not found on ({', '.join(profiles.relations)})"
    )


def _samples(profiles: Profiles) -> dict[str, float]:
    """Each relation's part in the difference; none where it hangs on one relation."""
    values = stats.pseudo_values(
        profiles.costs, lambda rows: centroid(rows[:, 1]) - centroid(rows[:, 0])
    )
    return by_sample(profiles.relations, values) if np.isfinite(values).all() else {}


def _plot(profiles: Profiles) -> Plot:
    names = [process.name for process in PROCESSES]
    profile = dict(zip(names, profiles.costs.mean(0), strict=True))
    depths = ", ".join(
        f"{name} {depth:.2f}" for name, depth in zip(names, profiles.depth, strict=True)
    )
    headline = f"Mean layer: {depths}; relations as units."
    return depth_profile(profile, len(profiles.relations), headline)
