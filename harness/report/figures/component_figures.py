"""Figures of the components table: layers, heads and neurons against the untrained twins."""

from typing import TYPE_CHECKING

import numpy as np

from harness.report.figures.figure import (
    DIVERGING,
    LARGE_D,
    SATURATION,
    SEQUENTIAL,
    Figure,
    FigureContext,
    Panel,
    Trace,
    on_axes,
    rounded,
)
from harness.verdicts import typeset
from harness.verdicts.components import MODEL

if TYPE_CHECKING:
    import pandas as pd

_BINS = 81


def _split(table: "pd.DataFrame") -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """The model's rows and its twins'."""
    is_model = table["source"] == MODEL
    return table[is_model], table[~is_model]


def tallies(table: "pd.DataFrame") -> dict[str, int]:
    """Distinct components of each source that pass, the model first."""
    keys = table.loc[table["passed"].astype(bool), ["source", "layer", "index"]].drop_duplicates()
    counts = keys["source"].astype(str).value_counts()
    sources = [str(s) for s in table["source"].unique()]
    return {s: int(counts.get(s, 0)) for s in sorted(sources, key=source_order)}


def source_order(source: str) -> tuple[bool, int, str]:
    """The model, then its twins by number."""
    digits = "".join(c for c in source if c.isdigit())
    return source != MODEL, int(digits or 0), source


def _versus_twins(table: "pd.DataFrame", noun: str, total: int) -> str:
    counts = tallies(table)
    mine = counts.pop(MODEL, 0)
    words = f"{typeset.share_text(mine, total)} {noun} pass in the model"
    if not counts:
        return f"{words}; no untrained twin was measured."
    others = typeset.listed([typeset.count(c) for c in counts.values()])
    return f"{words}, {others} in its untrained {'twin' if len(counts) == 1 else 'twins'}."


def _threshold_shapes(panel: int, threshold: float, *, vertical: bool = False) -> list[Trace]:
    axes = on_axes(panel)
    x, y = axes["xaxis"], axes["yaxis"]
    line = {"color": "$threshold", "width": 1, "dash": "4px,3px"}
    shapes = []
    for at in (-threshold, threshold):
        if vertical:
            place = {"xref": x, "x0": at, "x1": at, "yref": f"{y} domain", "y0": 0, "y1": 1}
        else:
            place = {"xref": f"{x} domain", "x0": 0, "x1": 1, "yref": y, "y0": at, "y1": at}
        shapes.append({"shape": {"type": "line", "line": line, "layer": "below", **place}})
    return shapes


def layer_profile(table: "pd.DataFrame", context: FigureContext) -> Figure:
    """Effect of each feature over the layers, a panel a feature, over the band of the twins."""
    model, twins = _split(table)
    features = list(dict.fromkeys(model["metric"].astype(str)))
    layers = int(model["layer"].max()) + 1
    traces: list[Trace] = []
    for at, feature in enumerate(features):
        rows = model[model["metric"] == feature].sort_values("layer")
        band = twins[twins["metric"] == feature].groupby("layer")["effect"].agg(["min", "max"])
        traces += _profile_traces(at, rows, band)
        if context.threshold:
            traces += _threshold_shapes(at, context.threshold)
    bound = f" Dashed: ±{typeset.bound(context.threshold)}." if context.threshold else ""
    return Figure(
        title=f"{context.model}: effect by layer",
        headline=f"{_versus_twins(table, 'layers', layers)} {_largest(model, twins)}",
        caption=(
            "Each panel follows one feature through the layers. Filled points pass the criterion, "
            "hollow ones do not; the grey band runs from the least to the greatest d of the "
            f"untrained twins.{bound}{_without_variance(model)} {context.sign}{context.stacks}"
        ),
        context=context.line(),
        claim_id=context.claim_id,
        traces=traces,
        panels=[_profile_panel(at, feature, layers) for at, feature in enumerate(features)],
        columns=(3 if len(features) > 2 else len(features), 2 if len(features) > 1 else 1),
        legend=False,
    )


def _without_variance(model: "pd.DataFrame") -> str:
    """What is said of effects beyond the scale."""
    beyond = int((model["effect"].abs() > LARGE_D).sum())
    if not beyond:
        return ""
    verb = "lies" if beyond == 1 else "lie"
    return (
        f" {typeset.plural(beyond, 'effect')} {verb} beyond |d| = {typeset.number(LARGE_D)}, at "
        "the end of the scale: there is no variance within the classes to speak of."
    )


def _profile_panel(at: int, feature: str, layers: int) -> Panel:
    """All panels share the first one's y axis."""
    x = {"title": "layer", "dtick": _tick(layers), "range": [-0.5, layers - 0.5]}
    y = {"title": "d", "zero": True, **({"matches": "y"} if at else {})}
    return Panel(title=typeset.words(feature), x=x, y=y, height=200)


def _largest(model: "pd.DataFrame", twins: "pd.DataFrame") -> str:
    """The largest effect of the model, and the largest of any twin."""
    strongest = model.iloc[int(np.nanargmax(np.abs(model["effect"].to_numpy(dtype=float))))]
    largest = (
        f"Largest: {typeset.words(strongest['metric'])} at layer {_layer(strongest)}, "
        f"d = {typeset.number(strongest['effect'], signed=True)}"
    )
    if len(twins):
        largest += f"; the largest |d| of any twin is {typeset.number(twins['effect'].abs().max())}"
    return f"{largest}."


def _layer(row: "pd.Series") -> str:
    """`3`; in an encoder-decoder `3 (decoder 1)`."""
    stack = row.get("stack", "")
    return f"{row['layer']} ({stack})" if stack else str(row["layer"])


def _profile_traces(at: int, rows: "pd.DataFrame", band: "pd.DataFrame") -> list[Trace]:
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", **on_axes(at)}
    x = band.index.tolist()
    traces: list[Trace] = []
    if x:
        traces = [
            {"type": "scatter", "x": x, "y": rounded(band["min"].clip(-LARGE_D, LARGE_D)), **edge},
            {
                **{
                    "type": "scatter",
                    "x": x,
                    "y": rounded(band["max"].clip(-LARGE_D, LARGE_D)),
                    **edge,
                },
                **{"fill": "tonexty", "fillcolor": "$band", "name": "untrained twins"},
            },
        ]
    effects = rounded(rows["effect"].clip(-LARGE_D, LARGE_D))
    hues = ["$recall" if (e or 0) > 0 else "$reasoning" for e in effects]
    filled = [h if p else "$plot" for h, p in zip(hues, rows["passed"], strict=True)]
    traces.append(
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "model",
            "x": rows["layer"].tolist(),
            "y": effects,
            "line": {"color": "$line", "width": 1.25},
            "marker": {
                "size": 8 if len(rows) <= 12 else 6,
                "color": filled,
                "line": {"color": hues, "width": 1.5},
            },
            "cliponaxis": False,
            "hovertemplate": "layer %{x}: d = %{y:+.2f}<extra></extra>",
            **on_axes(at),
        }
    )
    return traces


def head_map(table: "pd.DataFrame", context: FigureContext) -> Figure:
    """Signed d of every head of the model, then the mean |d| of its twins, on one scale."""
    model, twins = _split(table)
    layers, heads = int(table["layer"].max()) + 1, int(table["index"].max()) + 1
    top = float(np.nanquantile(table["effect"].abs().clip(upper=LARGE_D), SATURATION)) or 1.0
    x = {"title": "head", "dtick": _tick(heads), "range": [-0.5, heads - 0.5], "grid": False}
    y = {"title": "layer", "dtick": _tick(layers), "range": [-0.5, layers - 0.5], "grid": False}
    height = max(180, min(22 * layers + 90, 520))
    traces = [_heat(0, _grid(model, layers, heads), top, signed=True)]
    traces.append(_passing_heads(model, heads))
    panels = [Panel("model: d", x, y, height)]
    if len(twins):
        mean = twins.assign(effect=twins["effect"].abs())
        mean = mean.groupby(["layer", "index"], observed=True)["effect"].mean().reset_index()
        traces.append(_heat(1, _grid(mean, layers, heads), top, signed=False))
        panels.append(Panel("untrained twins: mean |d|", x, y, height))
    return Figure(
        title=f"{context.model}: effect of every head",
        headline=_versus_twins(table, "heads", layers * heads),
        caption=(
            "A square is a head, layer 0 at the bottom, at the d of its strongest metric; a dot "
            "marks a head that passes the criterion. Both maps share one scale, which saturates "
            f"at |d| = {typeset.number(top)}.{_without_variance(model)} "
            f"{context.sign}{context.stacks}"
        ),
        context=context.line(),
        claim_id=context.claim_id,
        traces=traces,
        panels=panels,
        columns=(len(panels), 1),
        legend=False,
    )


def _passing_heads(model: "pd.DataFrame", heads: int) -> Trace:
    """A dot on every head that passes."""
    passed = model[model["passed"].astype(bool)]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "passes",
        "x": passed["index"].tolist(),
        "y": passed["layer"].tolist(),
        "marker": {
            "symbol": "circle",
            "size": 6 if heads <= 16 else 4,
            "color": "$plot",
            "line": {"color": "$ink", "width": 1.25},
        },
        "hoverinfo": "skip",
        **on_axes(0),
    }


def _tick(size: int) -> int:
    return 1 if size <= 8 else 4 if size <= 40 else 10


def _grid(table: "pd.DataFrame", layers: int, heads: int) -> list[list[float | None]]:
    grid = np.full((layers, heads), np.nan)
    grid[table["layer"].to_numpy(), table["index"].to_numpy()] = table["effect"].to_numpy()
    return [rounded(line, 2) for line in grid]


def _heat(at: int, z: list[list[float | None]], top: float, *, signed: bool) -> Trace:
    return {
        "type": "heatmap",
        "z": z,
        "zmin": -top if signed else 0,
        "zmax": top,
        "colorscale": DIVERGING if signed else SEQUENTIAL,
        "xgap": 1,
        "ygap": 1,
        "showscale": True,
        "colorbar": {"panel": at},
        "hoverongaps": False,
        "hovertemplate": (
            f"L%{{y}} H%{{x}}: {'d' if signed else 'mean |d|'} = "
            f"%{{z:{'+' if signed else ''}.2f}}<extra></extra>"
        ),
        **on_axes(at),
    }


def neuron_distribution(table: "pd.DataFrame", context: FigureContext) -> Figure:
    """How many neurons have which d, in the model and in each twin; the counts on a log axis."""
    effects = table["effect"].to_numpy(dtype=float)
    reach = float(np.nanquantile(np.minimum(np.abs(effects), LARGE_D), 0.9999))
    reach = max(reach, 1.2 * (context.threshold or 0.0), 1e-6)
    edges = np.linspace(-reach, reach, _BINS + 1)
    centres = rounded((edges[1:] + edges[:-1]) / 2)
    traces: list[Trace] = []
    sources = sorted((str(s) for s in table["source"].unique()), key=source_order)
    for at, source in reversed(list(enumerate(sources))):
        inside = np.clip(effects[(table["source"] == source).to_numpy()], -reach, reach)
        counts, _ = np.histogram(inside[np.isfinite(inside)], edges)
        traces.append(_density(at, centres, counts))
    if context.threshold:
        traces += _threshold_shapes(0, context.threshold, vertical=True)
    neurons = int((table["source"] == MODEL).sum())
    bound = f" Dashed: ±{typeset.bound(context.threshold)}." if context.threshold else ""
    return Figure(
        title=f"{context.model}: effects of all neurons",
        headline=_versus_twins(table, "neurons", neurons),
        caption=(
            f"Neurons by their d, in {_BINS} bins of {typeset.number(2 * reach / _BINS)}; the "
            "count is on a logarithmic axis, so a bin without neurons leaves a gap. Values beyond "
            f"±{typeset.number(reach)} are in the outermost bins. Grey: each untrained twin, over "
            f"as many neurons.{bound} {context.sign}{context.stacks}"
        ),
        context=context.line(),
        claim_id=context.claim_id,
        traces=traces,
        panels=[Panel("", {"title": "d", "zero": True}, {"title": "neurons", "type": "log"}, 300)],
    )


def _density(at: int, centres: list[float | None], counts: np.ndarray) -> Trace:
    """The outline of one histogram: the model's first, then those of its twins, named once."""
    mine = at == 0
    who = "model" if mine else f"twin {at}"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "model" if mine else "untrained twins",
        "showlegend": at < 2,
        "legendrank": at,
        "x": centres,
        "y": [int(c) or None for c in counts],
        "line": {
            "shape": "hvh",
            "width": 2 if mine else 1,
            "color": "$accent" if mine else "$twin",
        },
        "hovertemplate": f"{who}: %{{y:,}} at d = %{{x:+.2f}}<extra></extra>",
        **on_axes(0),
    }
