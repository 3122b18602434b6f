"""Plots as claims hand them over, one of each form, with entries of `plots.json` around them."""

from dataclasses import replace

import numpy as np

from harness.verdicts.plots import PlacedPlot, Plot, PlotPanel, Series
from tests.support.sample_records import CROSSED, NASTY

DOSES = (1.0, 2.0, 4.0, 8.0, 16.0)
SITES = ("subject", "relation", "last premise", "question", "last token")


def curve():
    def panel(title, sign):
        recall = tuple(sign * 0.1 * np.log2(d) for d in DOSES)
        reasoning = tuple(0.02 * np.log2(d) for d in DOSES)
        return PlotPanel(
            title,
            (
                Series("recall items", "recall", DOSES, recall,
                       low=tuple(v - 0.04 for v in recall), high=tuple(v + 0.05 for v in recall)),
                Series("reasoning items", "reasoning", DOSES, reasoning,
                       low=tuple(v - 0.03 for v in reasoning),
                       high=tuple(v + 0.03 for v in reasoning)),
                Series("lookup items", "lookup", DOSES, tuple(v + 0.1 for v in reasoning)),
                Series("random sets, 5th to 95th percentile", "random", DOSES, (0.0,) * 5,
                       low=(-0.02,) * 5, high=(0.02, 0.03, 0.05, 0.08, 0.1)),
            ),
            (0.15,),
        )  # fmt: skip

    return Plot(
        "curve",
        "drop against dose",
        "Recall drops by 0.40 at 16 heads, reasoning by 0.08.",
        "Lines are means over held-out pairs, bars 95 % intervals; the grey band is what as many "
        "heads drawn at random do, layer by layer; dashed: the drop that is needed.",
        "heads ablated",
        "drop in accuracy",
        (panel("recall circuit", 1), panel("reasoning circuit", -1)),
        n=100,
    )


def heat_map(sign=-1.0):
    rng = np.random.default_rng(0)
    cells = [(s, layer) for layer in range(12) for s in SITES]
    x, y = zip(*cells, strict=True)
    z = rng.normal(0, 0.2, len(cells))
    return Plot(
        "map",
        "what patching a site recovers",
        "The last token carries the answer from layer 8 on.",
        "A square is a layer at a position, layer 0 at the bottom, at the share of the clean logit "
        "difference that patching it recovers.",
        "position",
        "layer",
        tuple(
            PlotPanel(task, (Series(task, task, x, y, z=z if sign < 0 else abs(z)),))
            for task in ("recall", "reasoning")
        ),
        z="recovered share",
        n=40,
    )


def scatter():
    rng = np.random.default_rng(1)
    x = rng.normal(0.1, 0.2, 40)
    y = 0.3 * x + rng.normal(0, 0.15, 40)
    heads = tuple(f"L{i // 4}H{i % 4}" for i in range(40))
    return Plot(
        "scatter",
        "what each head causes for either task",
        "5 of 40 heads cause a drop in recall alone.",
        "A point is a head at the drop that ablating it causes in each task; dotted: as much in "
        "one as in the other. The heads farthest from it are named.",
        "drop in recall",
        "drop in reasoning",
        (PlotPanel("", (Series("heads", "model", tuple(x), tuple(y), text=heads),)),),
        n=100,
    )


def histogram():
    rng = np.random.default_rng(2)
    edges = np.linspace(-4, 4, 21)
    names = (("recall", "recall", 1.0), ("reasoning", "reasoning", -0.8), ("lookup", "lookup", 0.2))
    return Plot(
        "histogram",
        "projection on the direction",
        "Held-out AUC 0.91.",
        "Held-out items by their projection on the direction that was found on the others.",
        "projection, in standard deviations",
        "share of items",
        (
            PlotPanel(
                "layer 7",
                tuple(
                    Series(f"{name} items", role, tuple(edges[:-1]),
                           tuple(np.histogram(rng.normal(m, 1, 400), edges)[0] / 400))
                    for name, role, m in names
                ),
            ),
        ),
        n=400,
    )  # fmt: skip


def entry(plot, **changes):
    """A plot as `plots.json` gives it back, of a prediction that the sample records hold."""
    common = {
        "model": "mini-qwen",
        "materials": CROSSED,
        "claim_id": "h2",
        "criterion": "controlled",
        "prediction_id": "test_h2.py::test_held_out[mini-qwen]",
    }
    return PlacedPlot(**(common | changes), plot=Plot.from_json(plot.to_json()))


def entries():
    return [entry(p) for p in (curve(), heat_map(), scatter(), histogram())]


def plot(form, *series, lines=(), **words):
    base = Plot(form, "title", "Headline.", "Caption.", "x title", "y title", ())
    return replace(base, panels=(PlotPanel("panel", series, lines),), **words)


def series(role="model", x=(), y=(), **more):
    return Series(more.pop("name", role), role, x, y, **more)


def nasty():
    """A plot of each form, with names that would run as scripts."""
    names = {"text": (NASTY, NASTY)}
    places = (NASTY, "b")
    return [
        entry(plot("curve", series("recall", places, (1, 2), name=NASTY), title=NASTY, x=NASTY)),
        entry(plot("map", series("model", places, places, z=(1, 2)), y=NASTY, z=NASTY)),
        entry(plot("scatter", series("model", (0, 1), (1, 0), name=NASTY, **names), caption=NASTY)),
        entry(plot("histogram", series("model", places, (1, 2), name=NASTY), headline=NASTY)),
    ]  # fmt: skip
