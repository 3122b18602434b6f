"""The figures of a direction: AUC by layer, prompts along it, and cosines between layers."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from harness.findings.direction.measured import HeldOutDirection
from harness.findings.direction.separation import Labelled
from harness.findings.direction.vectors import layer_cosines
from harness.materials.items import EVALUATION
from harness.verdicts.plots import Plot, PlotPanel, Role, Series

_BINS = 24
ROLES: tuple[Role, Role] = ("recall", "reasoning")  # of the first and the second task


def held_out_plots(measured: HeldOutDirection) -> tuple[Plot, ...]:
    """The figures of the held-out finding."""
    selected, search = measured.selected, measured.search
    rows = selected.labelled.within(EVALUATION)
    labelled = selected.labelled.rows(rows)
    sources = [("model", selected.scores[rows], labelled)]
    sources += [
        (f"untrained {twin.name}", twin.search.scores[rows, twin.search.layer], labelled)
        for twin in measured.twins[:1]
        if twin.search.layer is not None
    ]
    return (
        auc_by_layer_plot(
            search.evaluation,
            {twin.name: twin.search.evaluation for twin in measured.twins},
            np.array([result.evaluation for result in measured.shuffled]),
            measured.baselines[0].separation.auc,
            how="Evaluation prompts along the direction of discovery prompts; layer "
            f"{selected.layer} was selected on the latter.",
            n=selected.units,
        ),
        projections_plot(
            sources,
            selected.study.prompts.tasks,
            how="Evaluation prompts along the unit direction of discovery prompts; 0 is half way "
            "between the tasks. Panels have scales of their own.",
            headline=f"AUC {search.auc:.2f} at layer {selected.layer}.",
        ),
        cosines_plot(layer_cosines(measured.fitted), selected.layer, selected.units),
    )


def _curve(name: str, role: Role, aucs: np.ndarray, first: int) -> Series:
    return Series(name, role, [first + i for i in range(len(aucs))], aucs.tolist())


def auc_by_layer_plot(
    model: Float[np.ndarray, " layer"],
    twins: Mapping[str, Float[np.ndarray, " layer"]],
    shuffles: Float[np.ndarray, "labelling layer"],
    length: float,
    *,
    how: str,
    n: int,
    first: int = 0,
) -> Plot:
    """AUC over layers, of the model and of every null.

    Args:
        model: Of the model.
        twins: Of the untrained twins, by name.
        shuffles: Of shuffled labellings.
        length: Of prompt length alone.
        how: Which prompts these are, in words.
        n: Units.
        first: The number of the first layer given.
    """
    series = [_curve("model", "model", model, first)]
    series += [_curve(name, "twin", aucs, first) for name, aucs in twins.items()]
    defined = ~np.isnan(shuffles).any(0)
    if len(shuffles) and defined.any():
        low, middle, high = np.quantile(shuffles[:, defined], [0.05, 0.5, 0.95], axis=0)
        layers = [first + int(i) for i in np.flatnonzero(defined)]
        low, middle, high = (x.tolist() for x in (low, middle, high))
        series.append(Series("shuffled labels", "random", layers, middle, low=low, high=high))
    twin = max((float(np.nanmax(a, initial=0.0)) for a in twins.values()), default=float("nan"))
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
    """Where prompts of each task lie along the direction: one panel a source (model, twin)."""
    panels = []
    for name, scores, labelled in sources:
        edges = np.histogram_bin_edges(scores, _BINS)
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


def cosines_plot(cosines: Float[np.ndarray, "layer layer"], selected: int, n: int) -> Plot:
    """Cosines between the directions of any two layers; `selected` is the layer selected."""
    rows, columns = (axis.ravel() for axis in np.indices(cosines.shape))
    between = cosines[~np.eye(len(cosines), dtype=bool)]
    known = between[~np.isnan(between)]
    values = cosines.ravel().tolist()
    span = f"{known.min():.2f} to {known.max():.2f}" if len(known) else "not defined"
    return Plot(
        "map",
        "Directions of layers against each other",
        f"Cosines between directions of different layers: {span}.",
        "Directions of discovery prompts. 1: the same line; 0: at right angles. Layer "
        f"{selected} was selected.",
        "layer",
        "layer",
        (
            PlotPanel(
                "",
                (Series("cosine", "model", columns.tolist(), rows.tolist(), values),),
            ),
        ),
        z="cosine",
        n=n,
    )
