"""Figures of the causal claims, as values that the report draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, CircuitKind, Member
from harness.findings.circuits.measured import SpecificCircuit
from harness.verdicts import typeset
from harness.verdicts.plots import Plot, PlotPanel, Role, Series

MOST_POINTS = 1000  # of a scatter; of more components those farthest from the origin are drawn
_BAND = (5, 95)  # percentiles of the random sets


def role(task: str, tasks: Sequence[str]) -> Role:
    """The colour of a task: the first of a contrast is drawn as recall, the second as reasoning."""
    if task not in tasks:
        return "lookup"
    return "recall" if task == tasks[0] else "reasoning"


def _plain(values: Any) -> list[float]:
    return [float(v) for v in np.asarray(values, dtype=float).ravel()]


def _map_panels(
    tables: Mapping[str, Float[np.ndarray, "row column"]],
    tasks: Sequence[str],
    columns: Sequence[Any],
    rows: Sequence[Any],
) -> tuple[PlotPanel, ...]:
    """A panel a task, cells row by row."""
    across = [column for _ in rows for column in columns]
    down = [row for row in rows for _ in columns]
    return tuple(
        PlotPanel(t, (Series(t, role(t, tasks), across, down, z=_plain(tables[t])),)) for t in tasks
    )


def dose_curve(measured: SpecificCircuit, random: Mapping[int, np.ndarray]) -> Plot:
    """Accuracy drop of all tasks over circuit sizes, over the band of random sets of that size."""
    target, selected, effects = measured.target, measured.selected, measured.circuits.effects
    kind, doses, rows = measured.circuits.kind, selected.doses, measured.circuits.doses(target)
    low, high = zip(*(np.percentile(random[k], _BAND) for k in doses), strict=True)
    middle = [float(np.median(random[k])) for k in doses]
    tasks = (target, *(t for t in effects if t != target))
    band = Series(
        f"{target}, random sets", "random", doses, middle, low=_plain(low), high=_plain(high)
    )
    lines = tuple(
        Series(t, role(t, measured.circuits.tasks), doses, _plain(effects[t].share_lost[rows]))
        for t in tasks
    )
    at = doses.index(selected.size)
    lost = ", ".join(f"{t} {effects[t].share_lost[rows[at]]:.2f}" for t in tasks)
    return Plot(
        form="curve",
        title=f"dose of the {target} circuit ({kind}s)",
        headline=f"Without the {selected.size:,} {kind}s selected on discovery facts, lost: {lost};"
        f" without as many random ones, {target} {middle[at]:.2f} (median).",
        caption=(
            f"Share of right answers lost when the k strongest {kind}s of the {target} "
            "ranking are mean-ablated, on evaluation facts. Grey: random sets of k, 5th to 95th "
            f"percentile, {target} items. Dashed: the margin below which a task is spared."
        ),
        x=f"{kind}s ablated (k)",
        y="share lost",
        panels=(PlotPanel("", (band, *lines), (measured.rule.margin,)),),
        n=effects[target].n,
    )


def component_plots(
    effects: Mapping[str, Float[np.ndarray, "layer component"]],
    circuits: Mapping[str, Circuit],
    tasks: Sequence[str],
    kind: CircuitKind,
    n: int,
) -> tuple[Plot, ...]:
    """A map of every head's effect on each task, and one task against the other; n items a task."""
    how = "mean-ablated one by one" if kind == "head" else "scored on the way to losing all"
    scatter = _scatter(effects, circuits, tasks, kind, how, n)
    if kind != "head":
        return (scatter,)
    layers, width = (range(n) for n in effects[tasks[0]].shape)
    strongest = "; ".join(
        f"{t}: {typeset.place(int(n), kind, int(i))} ({effects[t][n, i]:.2f})"
        for t in tasks
        for n, i in [np.unravel_index(int(effects[t].argmax()), effects[t].shape)]
    )
    heads = Plot(
        form="map",
        title="what each head causes",
        headline=f"Strongest: {strongest}.",
        caption=(
            f"Each head {how} on discovery facts: fall of the logit difference, as a share of the "
            "intact model's, over those of the n items a task that it answers right. A square is "
            "a head, layer 0 at the bottom."
        ),
        x="head",
        y="layer",
        z="share of the logit difference lost",
        panels=_map_panels(effects, tasks, [float(i) for i in width], [float(n) for n in layers]),
        n=n,
    )
    return heads, scatter


def _scatter(
    effects: Mapping[str, np.ndarray],
    circuits: Mapping[str, Circuit],
    tasks: Sequence[str],
    kind: CircuitKind,
    how: str,
    n: int,
) -> Plot:
    first, second = (effects[t] for t in tasks)
    series = tuple(
        Series(
            name,
            colour,
            [float(first[at]) for at in members],
            [float(second[at]) for at in members],
            text=[typeset.place(n, kind, i) for n, i in members],
        )
        for (name, colour), members in sorted(_by_circuit(effects, circuits, tasks).items())
    )
    kept = f" The {MOST_POINTS} farthest from 0 are drawn." if first.size > MOST_POINTS else ""
    return Plot(
        form="scatter",
        title=f"every {kind}: one task against the other",
        headline=f"Effects on the two tasks correlate at r = {_pearson(first, second):.2f} over "
        f"{first.size:,} {kind}s.",
        caption=(
            f"A point is a {kind}, {how} on discovery facts: the share of each task's logit "
            "difference that is lost without it, over those of the n items a task that are "
            "answered right. What serves one task alone lies off the diagonal." + kept
        ),
        x=f"share of {tasks[0]} lost",
        y=f"share of {tasks[1]} lost",
        panels=(PlotPanel("", series),),
        n=n,
    )


def _by_circuit(
    effects: Mapping[str, np.ndarray], circuits: Mapping[str, Circuit], tasks: Sequence[str]
) -> dict[tuple[str, Role], list[Member]]:
    """The components with the largest effects, by the circuits that hold them, and a colour."""
    first, second = (effects[t] for t in tasks)
    far = np.argsort(-np.hypot(first, second).ravel(), kind="stable")[:MOST_POINTS]
    held = {t: set(c.members) for t, c in circuits.items()}
    groups: dict[tuple[str, Role], list[Member]] = {}
    for flat in far:
        at = (int(flat) // first.shape[1], int(flat) % first.shape[1])
        holders = [t for t in tasks if at in held[t]]
        group: tuple[str, Role] = ("both circuits", "lookup") if holders else ("neither", "random")
        if len(holders) == 1:
            group = (f"{holders[0]} circuit", role(holders[0], tasks))
        groups.setdefault(group, []).append(at)
    return groups


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def patching_map(
    shares: Mapping[str, Float[np.ndarray, "layer position"]],
    layers: Sequence[str],
    positions: Sequence[str],
    tasks: Sequence[str],
    n: int,
) -> Plot:
    """Where patching from the counterfactual prompt carries the answer over: layer x position."""
    last = ", ".join(
        f"{t}: {positions[int(np.nanargmax(shares[t][len(layers) // 2]))]}" for t in tasks
    )
    return Plot(
        form="map",
        title="patching from the counterfactual prompt",
        headline=f"Position that matters most after layer {layers[len(layers) // 2]}: {last}.",
        caption=(
            "The residual stream after a layer (emb: the embedding) at some tokens is replaced by "
            "that of the prompt with another answer. 0: nothing changes; 1: the logit difference "
            "falls as far as on the other prompt itself."
        ),
        x="layer",
        y="tokens patched",
        z="share of the fall",
        panels=_map_panels({t: shares[t].T for t in tasks}, tasks, layers, positions),
        n=n,
    )


def depth_profile(
    effects: Mapping[str, Float[np.ndarray, "position layer"]],
    positions: Sequence[str],
    tasks: Sequence[str],
    n: int,
    headline: str,
) -> Plot:
    """What each layer's ablation costs each task, a panel a position."""
    layers = effects[tasks[0]].shape[1]
    panels = tuple(
        PlotPanel(
            name,
            tuple(
                Series(t, role(t, tasks), list(range(layers)), _plain(effects[t][at]))
                for t in tasks
            ),
        )
        for at, name in enumerate(positions)
    )
    return Plot(
        form="curve",
        title="what each layer causes",
        headline=headline,
        caption=(
            "A layer's attention and MLP outputs are mean-ablated at the tokens named above the "
            "panel: fall of the logit difference as a share of the intact model's. The higher, the "
            "more the task needs the layer; below 0 it fares better without."
        ),
        x="layer",
        y="share lost",
        panels=panels,
        n=n,
    )


def pair_map(
    names: Sequence[str],
    interactions: Mapping[str, Float[np.ndarray, "component component"]],
    tasks: Sequence[str],
    n: int,
    headline: str,
) -> Plot:
    """Interaction of every pair of the strongest components."""
    return Plot(
        form="map",
        title="pairs of components",
        headline=headline,
        caption=(
            "What two components cost together minus what each costs alone, as a share of the "
            "intact logit difference. Below 0 they carry the same, or one is useless without the "
            "other; above 0 each can replace the other."
        ),
        x="component",
        y="component",
        z="interaction",
        panels=_map_panels(interactions, tasks, names, names),
        n=n,
    )
