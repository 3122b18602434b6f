"""The figures of steering: what each dose does, and which items move the wrong way."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from harness.findings.effects import TaskEffects
from harness.findings.steering.doses import DoseGrid
from harness.findings.steering.effects import accuracy_lost
from harness.findings.steering.measured import Added, Corrected, Projected
from harness.interventions.interventions import PROJECT_OUT
from harness.verdicts.plots import Plot, PlotPanel, Role, Series

_BINS = 20
_BAND = (5, 95)  # percentiles of the random directions
_ROLES: tuple[Role, Role] = ("recall", "reasoning")  # of the first and the second task

Measure = Callable[[TaskEffects, int], float]


def added_plots(measured: Added) -> tuple[Plot, ...]:
    """Dose curves where the selected intervention edits, and its effect on every item."""

    def logit_difference(task: TaskEffects, row: int) -> float:
        return float(task.mean[row])

    def accuracy(task: TaskEffects, row: int) -> float:
        return -accuracy_lost(task, row)

    tasks, grid = measured.steering.tasks, measured.doses
    return (
        _dose_curve("logit difference", "change, nats", tasks, grid, logit_difference),
        _dose_curve("accuracy", "change of accuracy", tasks, grid, accuracy),
        item_histogram(measured),
    )


def _dose_curve(
    quantity: str, y: str, tasks: tuple[str, str], grid: DoseGrid, measure: Measure
) -> Plot:
    doses = grid.doses
    example = len(doses) * 3 // 4  # a dose in the middle of those above 0
    panels, examples = [], []
    for name, role, fitted, random in zip(tasks, _ROLES, grid.fitted, grid.random, strict=True):
        values = [measure(fitted, intervention) for intervention in range(len(doses))]
        band = _random_band(grid, random, measure)
        panels.append(PlotPanel(name, (band, Series(name, role, doses, values)), (0.0,)))
        examples.append(f"{name} {values[-1 - example]:+.2f} and {values[example]:+.2f}")
    return Plot(
        "curve",
        f"doses of the direction: {quantity}",
        f"At doses {doses[-1 - example]:+g} and {doses[example]:+g}: {'; '.join(examples)}.",
        f"Multiples of the difference in means added at {grid.where}, evaluation items; above 0 "
        f"towards {tasks[1]}. Grey: random directions of the same length, 5th to 95th percentile.",
        "dose",
        y,
        tuple(panels),
        n=grid.fitted.n,
    )


def _random_band(grid: DoseGrid, random: TaskEffects, measure: Measure) -> Series:
    draws = np.array([measure(random, intervention) for intervention in range(len(random.after))])
    draws = draws.reshape(-1, grid.directions)
    # The opposite of a random direction is another random one: its doses stand for both signs.
    both_signs = np.concatenate([draws[::-1], draws])
    low, high = np.percentile(both_signs, _BAND, axis=1)
    middle = np.median(both_signs, axis=1)
    return Series(
        "random directions",
        "random",
        grid.doses,
        middle.tolist(),
        low=low.tolist(),
        high=high.tolist(),
    )


def _shares(values: Float[np.ndarray, " item"], edges: np.ndarray) -> list[float]:
    shares: list[float] = (np.histogram(values, edges)[0] / max(1, len(values))).tolist()
    return shares


def item_histogram(measured: Added) -> Plot:
    """Every item's change, in the direction that steering predicts."""
    tasks = measured.steering.tasks
    along = [
        sign * task.logit_difference[0, task.scored]
        for sign, task in zip((-1, 1), measured.effects, strict=True)
    ]
    edges = np.histogram_bin_edges(np.concatenate(along), _BINS)
    wrong = "; ".join(f"{t} {(a < 0).mean():.2f}" for t, a in zip(tasks, along, strict=True))
    series = tuple(
        Series(task, role, edges[:-1].tolist(), _shares(values, edges))
        for task, role, values in zip(tasks, _ROLES, along, strict=True)
    )
    return Plot(
        "histogram",
        "items steered, and anti-steered",
        f"Share moved the wrong way: {wrong}.",
        f"Change of each item's logit difference, {measured.toward.intervention}: {tasks[1]} as it "
        f"is, {tasks[0]} with its sign turned. Below 0 an item went the wrong way.",
        "change in the predicted direction, nats",
        "share of the task's items",
        (PlotPanel("", series),),
        n=len(along[1]),
    )


def corrections_histogram(measured: Corrected) -> Plot:
    """Change of wrong items under the fitted direction and under isotropic random ones."""
    own, effects, task = measured.changes, measured.effects, measured.pool.task
    isotropic = slice(1, 1 + measured.steering.rule.random.count)
    random = effects.logit_difference[isotropic, effects.scored].ravel()
    edges = np.histogram_bin_edges(np.concatenate([own, random]), _BINS)
    series = (
        Series("random directions", "random", edges[:-1].tolist(), _shares(random, edges)),
        Series(task, "reasoning", edges[:-1].tolist(), _shares(own, edges)),
    )
    return Plot(
        "histogram",
        "items that the intact model gets wrong",
        f"{(own > 0).mean():.2f} of {len(own)} move as the direction says, along random "
        f"directions {(random > 0).mean():.2f}.",
        f"Change of the logit difference, {measured.toward.intervention}; grey: every item along "
        "every random direction.",
        "change, nats",
        "share",
        (PlotPanel("", series),),
        n=len(own),
    )


def loss_by_layer(measured: Projected) -> tuple[Plot, ...]:
    """Accuracy lost where the direction is projected out, by layer; no plot of one layer."""
    position = {
        intervention.layers[0]: number
        for number, intervention in enumerate(measured.interventions)
        if intervention.method == PROJECT_OUT and len(intervention.layers) == 1
    }
    if len(position) < 2:
        return ()
    layers = sorted(position)
    series = tuple(
        Series(name, role, layers, [accuracy_lost(task, position[layer]) for layer in layers])
        for name, role, task in zip(measured.steering.tasks, _ROLES, measured.effects, strict=True)
    )
    largest = "; ".join(f"{s.name} {max(map(float, s.y)):.2f}" for s in series)
    return (
        Plot(
            "curve",
            "accuracy lost without the direction",
            f"Most that is lost at any one layer: {largest}.",
            "The direction is projected out of the stream after one layer, evaluation items. Above "
            "the line at 0 answers are lost that were right before.",
            "layer",
            "accuracy lost",
            (PlotPanel("", series, (0.0,)),),
            n=measured.effects.n,
        ),
    )
