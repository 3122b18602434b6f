"""Interactions of the strongest heads and MLPs, drawn as a map of pairs."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from harness.findings.circuits.plots import pair_map
from harness.findings.circuits.selection import component_effects, selection_prompts
from harness.findings.effects import measured_effects, part
from harness.interventions.interventions import MEAN, Intervention
from harness.interventions.sites import Site
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts import typeset
from harness.verdicts.plots import Plot

PAIR_ITEMS = 20  # evaluation pairs that the map is measured on


def component_pairs(study: Study, pairs: int, count: int) -> Plot:
    """What two components cost together minus what each costs alone, on evaluation items.

    Args:
        study: The model and the materials.
        pairs: Discovery pairs that the strongest components are selected on.
        count: How many components.
    """
    tasks = study.prompts.tasks
    prompts = part(study.prompts, EVALUATION, tasks, PAIR_ITEMS)
    strongest = _strongest(study, pairs, count)
    both = list(combinations(range(len(strongest)), 2))
    sets = [*((site,) for site in strongest), *((strongest[a], strongest[b]) for a, b in both)]
    each = [Intervention(sites, MEAN) for sites in sets]
    effects = measured_effects(study, prompts, each, selection_prompts(study, pairs))
    maps = {task: _table(effects[task].cost, len(strongest), both) for task in tasks}
    names = [_named(site) for site in strongest]
    return pair_map(names, maps, tasks, len(prompts.pairs), _headline(names, maps))


def _table(cost: np.ndarray, components: int, both: Sequence[tuple[int, int]]) -> np.ndarray:
    """Interactions of one task, symmetric; nan on the diagonal."""
    table = np.full((components, components), np.nan)
    for (a, b), together in zip(both, cost[components:], strict=True):
        table[a, b] = table[b, a] = together - cost[a] - cost[b]
    return table


def _strongest(study: Study, pairs: int, count: int) -> Sequence[Site]:
    """Heads and MLPs whose loss costs either task most on discovery items."""
    prompts, layers = selection_prompts(study, pairs), study.subject.architecture.layers
    heads = component_effects(study, "head", pairs)
    mlps = [Site("mlp", layer) for layer in range(layers)]
    each = [Intervention((site,), MEAN) for site in mlps]
    effects = measured_effects(study, prompts, each, prompts)
    cost: dict[Site, float] = {}
    for task in study.prompts.tasks:
        of_heads = {Site("head", *at): value for at, value in np.ndenumerate(heads[task])}
        of_mlps = dict(zip(mlps, effects[task].cost, strict=True))
        for site, value in (of_heads | of_mlps).items():
            cost[site] = max(cost.get(site, 0.0), float(value))
    best = sorted(cost, key=lambda s: -cost[s])[:count]
    return sorted(best, key=lambda s: (s.layer, s.kind, s.index if isinstance(s.index, int) else 0))


def _named(site: Site) -> str:
    """`L2 H3` for a head, `L2 MLP` for all neurons of a layer."""
    if site.kind == "head" and isinstance(site.index, int):
        return typeset.place(site.layer, "head", site.index)
    return f"{typeset.place(site.layer)} {'MLP' if site.kind == 'mlp' else site.kind}"


def _headline(names: Sequence[str], maps: Mapping[str, np.ndarray]) -> str:
    largest = []
    for task, table in maps.items():
        if np.isnan(table).all():
            largest.append(f"{task}: none, no item is answered right")
            continue
        a, b = divmod(int(np.nanargmax(np.abs(table))), len(names))
        largest.append(f"{task}: {names[a]} with {names[b]} ({table[a, b]:+.2f})")
    return f"Largest interactions: {'; '.join(largest)}."
