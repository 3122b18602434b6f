"""The figures of h7: AUC by layer, prompts along the direction, directions against each other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from harness.findings.direction.search import Found
from harness.findings.direction.separation import Labelled
from harness.verdicts.plots import Plot, PlotPanel, Role, Series

BINS = 24
ROLES: tuple[Role, Role] = ("recall", "reasoning")  # of the first and the second task


def _curve(name: str, role: Role, aucs: np.ndarray, first: int) -> Series:
    return Series(name, role, [first + i for i in range(len(aucs))], aucs.tolist())


def auc_by_layer_plot(
    model: Float[np.ndarray, " layer"],
    twins: Sequence[tuple[str, Float[np.ndarray, " layer"]]],
    shuffles: Float[np.ndarray, "labelling layer"],
    length: float,
    *,
    how: str,
    n: int,
    first: int = 0,
) -> Plot:
    """`how` says whose prompts these are; `first` is the number of the first layer given."""
    series = [_curve("model", "model", model, first)]
    series += [_curve(name, "twin", aucs, first) for name, aucs in twins]
    defined = ~np.isnan(shuffles).any(0)
    if len(shuffles) and defined.any():
        low, middle, high = np.quantile(shuffles[:, defined], [0.05, 0.5, 0.95], axis=0)
        layers = [first + int(i) for i in np.flatnonzero(defined)]
        low, middle, high = (x.tolist() for x in (low, middle, high))
        series.append(Series("shuffled labels", "random", layers, middle, low=low, high=high))
    twin = max((float(np.nanmax(a, initial=0.0)) for _, a in twins), default=float("nan"))
    return Plot(
        "curve",
        "How well one direction tells the tasks apart",
        f"Best AUC {np.nanmax(model, initial=0.0):.2f}; untrained twins at most {twin:.2f}; prompt "
        f"length alone {length:.2f}.",
        f"{how} Band: 5th to 95th percentile of shuffled labels. Dashed: what prompt length alone "
        "reaches. 0.5 is chance.",
        "layer",
        "AUC",
        (PlotPanel("", tuple(series), (length,)),),
        n=n,
    )


def projections_plot(
    sources: Sequence[tuple[str, Float[np.ndarray, " prompt"], Labelled]],
    tasks: tuple[str, str],
    *,
    how: str,
    headline: str,
) -> Plot:
    """A panel a source (model, a twin): where prompts of each task lie along the direction."""
    panels = []
    for name, scores, labelled in sources:
        edges = np.histogram_bin_edges(scores, BINS)
        panels.append(
            PlotPanel(
                name,
                tuple(
                    Series(task, role, edges[:-1].tolist(), _shares(scores, labelled, side, edges))
                    for task, role, side in zip(tasks, ROLES, (-1, 1), strict=True)
                ),
            )
        )
    return Plot(
        "histogram",
        "Prompts along the direction",
        headline,
        f"{how} The less the outlines overlap, the better the tasks are told apart.",
        "projection on the unit direction",
        "share of the task's prompts",
        tuple(panels),
        n=len(sources[0][1]),
    )


def _shares(scores: np.ndarray, labelled: Labelled, side: int, edges: np.ndarray) -> list[float]:
    of_task = scores[labelled.side == side]
    shares: list[float] = (np.histogram(of_task, edges)[0] / len(of_task)).tolist()
    return shares


def cosines_plot(cosines: Float[np.ndarray, "layer layer"], found: Found, n: int) -> Plot:
    """How alike the directions of any two layers are."""
    rows, columns = (axis.ravel() for axis in np.indices(cosines.shape))
    between = cosines[~np.eye(len(cosines), dtype=bool)]
    known = between[~np.isnan(between)]
    span = f"{known.min():.2f} to {known.max():.2f}" if len(known) else "not defined"
    return Plot(
        "map",
        "Directions of layers against each other",
        f"Cosines between directions of different layers: {span}.",
        "Directions of discovery prompts. 1: the same line; 0: at right angles. Layer "
        f"{found.layer} was chosen.",
        "layer",
        "layer",
        (
            PlotPanel(
                "",
                (
                    Series(
                        "cosine", "model", columns.tolist(), rows.tolist(), cosines.ravel().tolist()
                    ),
                ),
            ),
        ),
        z="cosine",
        n=n,
    )
