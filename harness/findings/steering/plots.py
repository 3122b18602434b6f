"""The figures of steering: what each dose does, and which items go the wrong way."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness.findings.steering.selection import Steer, lost
from harness.findings.steering.steering import Arm, Moved, isotropic
from harness.verdicts.plots import Plot, PlotPanel, Role, Series

BINS = 20
BAND = (5, 95)  # percentiles of the random directions
BAND_PAIRS = 8  # evaluation pairs that the band is measured on
ROLES: tuple[Role, Role] = ("recall", "reasoning")  # of the first and the second task

Measure = Callable[[Moved, int], float]


def dose_curves(steer: Steer, layers: tuple[int, ...]) -> tuple[Plot, Plot]:
    """Logit difference and accuracy of both tasks over doses, and the band of random directions."""
    tasks, rule = steer.study.prompts.tasks, steer.rule
    doses = [*(-d for d in rule.doses[::-1]), *rule.doses]
    others = isotropic(steer.fitted, rule.band, steer.study.plan.seed)
    arms = [Arm("add", layers, dose) for dose in doses]
    random_arms = [
        Arm("add", layers, dose, 1 + i) for dose in rule.doses for i in range(len(others))
    ]
    found = steer.both(steer.judged(tasks, rule.control_pairs), arms)
    drawn = steer.both(steer.judged(tasks, BAND_PAIRS), random_arms, others)
    n = int(found[1].scored.sum())
    measures: tuple[tuple[str, str, Measure], ...] = (
        ("logit difference", "change, nats", lambda of, arm: of.mean(arm)),
        ("accuracy", "change of accuracy", lambda of, arm: -lost(of, arm)),
    )
    first, second = (
        _dose_curve(title, y, measure, found, drawn, doses, rule.band, tasks, n, arms[0].where)
        for title, y, measure in measures
    )
    return first, second


def _dose_curve(
    title: str,
    y: str,
    measure: Measure,
    found: tuple[Moved, Moved],
    drawn: tuple[Moved, Moved],
    doses: Sequence[float],
    band: int,
    tasks: tuple[str, str],
    n: int,
    where: str,
) -> Plot:
    panels, said = [], []
    for task, role, of, random in zip(tasks, ROLES, found, drawn, strict=True):
        values = [measure(of, arm) for arm in range(len(doses))]
        draws = np.array([measure(random, i) for i in range(len(random.after))]).reshape(-1, band)
        # A random direction turned round is another one: its doses stand for both signs.
        both = np.concatenate([draws[::-1], draws])
        low, high = np.percentile(both, BAND, axis=1)
        middle = np.median(both, axis=1)
        grey = Series(
            "random directions", "random", doses, middle.tolist(), (), low.tolist(), high.tolist()
        )
        panels.append(PlotPanel(task, (grey, Series(task, role, doses, values)), (0.0,)))
        at = len(doses) * 3 // 4  # a dose in the middle of those above 0
        said.append(f"{task} {values[-1 - at]:+.2f} and {values[at]:+.2f}")
    return Plot(
        "curve",
        f"doses of the direction: {title}",
        f"At doses {doses[-1 - at]:+g} and {doses[at]:+g}: {'; '.join(said)}.",
        f"Multiples of the difference in means added at {where}, evaluation items; above 0 "
        f"towards {tasks[1]}. Grey: random directions of the same length, 5th to 95th percentile.",
        "dose",
        y,
        tuple(panels),
        n=n,
    )


def _shares(values: Float[np.ndarray, " item"], edges: np.ndarray) -> list[float]:
    shares: list[float] = (np.histogram(values, edges)[0] / max(1, len(values))).tolist()
    return shares


def item_histogram(found: tuple[Moved, Moved], arm: int, tasks: tuple[str, str], what: str) -> Plot:
    """Every item's change, in the direction that steering should give it."""
    along = [
        sign * of.logit_difference[arm, of.scored] for sign, of in zip((-1, 1), found, strict=True)
    ]
    edges = np.histogram_bin_edges(np.concatenate(along), BINS)
    wrong = "; ".join(f"{t} {(a < 0).mean():.2f}" for t, a in zip(tasks, along, strict=True))
    series = tuple(
        Series(task, role, edges[:-1].tolist(), _shares(values, edges))
        for task, role, values in zip(tasks, ROLES, along, strict=True)
    )
    return Plot(
        "histogram",
        "items steered, and anti-steered",
        f"Share moved the wrong way: {wrong}.",
        f"Change of each item's logit difference, {what}: {tasks[1]} as it is, {tasks[0]} with its "
        "sign turned. Below 0 an item went the wrong way.",
        "change in the predicted direction, nats",
        "share of the task's items",
        (PlotPanel("", series),),
        n=len(along[1]),
    )


def mended_histogram(found: Moved, isotropic_ones: int, task: str, what: str) -> Plot:
    """Wrong items' change under the direction and under random ones (arms 1 to that many)."""
    own = found.logit_difference[0, found.scored]
    chance = found.logit_difference[1 : 1 + isotropic_ones, found.scored].ravel()
    edges = np.histogram_bin_edges(np.concatenate([own, chance]), BINS)
    series = (
        Series("random directions", "random", edges[:-1].tolist(), _shares(chance, edges)),
        Series(task, "reasoning", edges[:-1].tolist(), _shares(own, edges)),
    )
    return Plot(
        "histogram",
        "items that the intact model gets wrong",
        f"{(own > 0).mean():.2f} of {len(own)} move as the direction says, along random "
        f"directions {(chance > 0).mean():.2f}.",
        f"Change of the logit difference, {what}; grey: every item along every random direction.",
        "change, nats",
        "share",
        (PlotPanel("", series),),
        n=len(own),
    )


def loss_by_layer(
    found: tuple[Moved, Moved], arms: Sequence[Arm], tasks: tuple[str, str]
) -> Plot | None:
    """Accuracy lost where the direction is projected out, layer by layer; None for one layer."""
    alone = {
        a.layers[0]: i
        for i, a in enumerate(arms)
        if a == replace(a, edit="project out") and len(a.layers) == 1
    }
    if len(alone) < 2:
        return None
    layers = sorted(alone)
    series = tuple(
        Series(task, role, layers, [lost(of, alone[layer]) for layer in layers])
        for task, role, of in zip(tasks, ROLES, found, strict=True)
    )
    most = "; ".join(f"{s.name} {max(map(float, s.y)):.2f}" for s in series)
    return Plot(
        "curve",
        "accuracy lost without the direction",
        f"Most that is lost at any one layer: {most}.",
        "The direction is projected out of the stream after one layer, evaluation items. Above the "
        "line at 0 answers are lost that were right before.",
        "layer",
        "accuracy lost",
        (PlotPanel("", series, (0.0,)),),
        n=int(found[1].scored.sum()),
    )
