"""Figures of the causal claims, as values that the report draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from harness.verdicts.plots import Plot, PlotPanel, Role, Series


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


def depth_profile(costs: Mapping[str, Float[np.ndarray, " layer"]], n: int, headline: str) -> Plot:
    """What each layer's part of a circuit costs its process, a line a process."""
    names = list(costs)
    lines = tuple(
        Series(name, role(name, names), list(range(len(values))), _plain(values))
        for name, values in costs.items()
    )
    return Plot(
        form="curve",
        title="where the circuits act",
        headline=headline,
        caption=(
            "A layer's part of a process's circuit is mean-ablated at every token: what the "
            "process's own cell loses beyond lookup, as a share of the intact logit difference."
        ),
        x="layer",
        y="share lost beyond lookup",
        panels=(PlotPanel("all tokens", lines),),
        n=n,
    )
