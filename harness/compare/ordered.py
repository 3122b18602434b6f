"""Whether two runs, or two models of one shape, order components alike by what their loss costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import stats
from harness.compare.moved import GROUP
from harness.compare.past import Baseline, Past
from harness.verdicts import typeset
from harness.verdicts.components import COSTS

if TYPE_CHECKING:
    import pandas as pd

_PLACE = ["layer", "index"]
_CELLS = 20_000_000  # of the table of permutations: many components have fewer of them


@dataclass(frozen=True, slots=True)
class OrderedKind:
    """The rank correlation of all components of one kind, between a model then and now.

    Attributes:
        part: The process whose costs they are.
        correlation: Of the components' mean costs; p permutes them within their layers, so that
            which layers matter gives no small p. None if the models do not have the same
            components, or too few.
    """

    model: str
    earlier: str
    claim_id: str
    part: str
    kind: str
    correlation: stats.RankCorrelation | None

    @property
    def steady(self) -> bool:
        """Whether the order is the same as far as is shown."""
        return self.correlation is not None and f"{self.correlation.rho:.2f}" == "1.00"


def ordered_components(past: Past, baseline: Baseline) -> list[OrderedKind]:
    """Every kind of component of every claim that both runs have costs of.

    Components correspond by their place. So this says something of models of one family (a
    fine-tune, a checkpoint, other precision); two that were trained apart number their heads and
    neurons by chance.
    """
    ours, theirs = past.components(COSTS), baseline.past.components(COSTS)
    if ours is None or theirs is None:
        return []
    earlier = _groups(theirs)
    parts = {(r.claim_id, r.prediction_id): r.part for r in past.verdicts}
    found = []
    for (model, *rest), rows in _groups(ours).items():
        before = baseline.models.get(model, "")
        if (before, *rest) in earlier:
            claim_id, _, _, prediction_id, kind = rest
            part = parts.get((claim_id, prediction_id), "")
            alike = _correlation(earlier[before, *rest], rows)
            found.append(OrderedKind(model, before, claim_id, part, kind, alike))
    return found


def _groups(table: "pd.DataFrame") -> Mapping[tuple[str, ...], "pd.Series[float]"]:
    found = {}
    for group, rows in table.groupby(GROUP, observed=True, sort=True):
        names: Any = group
        found[tuple(map(str, names))] = rows.drop_duplicates(_PLACE).set_index(_PLACE)["effect"]
    return found


def _correlation(
    before: "pd.Series[float]", now: "pd.Series[float]"
) -> stats.RankCorrelation | None:
    if {*before.index} != {*now.index}:
        return None
    both = now.index
    layers = both.get_level_values("layer").tolist()
    if len(both) < 3 or len({*layers}) == len(both):  # nothing changes places
        return None
    return stats.rank_correlation(
        before.loc[both].to_numpy(dtype=float),
        now.to_numpy(dtype=float),
        permutations=max(99, min(1000, _CELLS // len(both))),
        blocks=layers,
    )


def text(ordered: OrderedKind) -> str:
    """`tuned against base h9 retrieval: costs of 16 heads, rho 0.81 [0.50, 0.94], p .001`."""
    names = dict.fromkeys((ordered.model, ordered.earlier))
    where = f"{' against '.join(names)} {ordered.claim_id} {ordered.part}".rstrip()
    found = ordered.correlation
    if found is None:
        return f"{where}: the models do not have the same {ordered.kind}s"
    if math.isnan(found.rho):
        return f"{where}: costs of {found.items:,} {ordered.kind}s, all the same in one of the two"
    return (
        f"{where}: costs of {found.items:,} {ordered.kind}s, rho {found.rho:.2f} "
        f"[{found.low:.2f}, {found.high:.2f}], p {typeset.p_value(found.p)}"
    )
