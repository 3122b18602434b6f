"""The findings of h6: at which depth a task's answer is made, and whether recall comes first."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits import plots as causal_plots
from harness.findings.circuits.selection import CausalRule, discovery_prompts
from harness.findings.circuits.shared import enough
from harness.findings.effects import effects_on_correct, measured_effects, part, swept
from harness.findings.gates import causal_gates
from harness.findings.requirements import lower_end
from harness.findings.specialisation.contrasts import controlled_contrast
from harness.findings.specialisation.rules import ControlledRule
from harness.interventions.interventions import COUNTERFACTUAL, MEAN, Intervention
from harness.interventions.sites import Site
from harness.materials.items import EVALUATION, PromptSet
from harness.study.study import Study
from harness.verdicts.components import Components
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.plots import Plot
from harness.verdicts.samples import by_unit

POSITIONS = ("all", "subject", "premises", "final")
PATCHED = ("subject", "premises", "final")
PATCHED_FACTS = 20  # facts of the patching map
HALVES = 20  # splits of one task's items, whose depths must not differ


def centroid(effects: Float[np.ndarray, "... layer"]) -> Float[np.ndarray, "..."]:
    """Mean layer, weighted by what each layer's loss costs; nan if none costs anything.

    Layers whose loss helps count as zero: a centroid with negative weights can lie anywhere.
    """
    return signed_centroid(np.maximum(effects, 0.0))


def signed_centroid(effects: Float[np.ndarray, "... layer"]) -> Float[np.ndarray, "..."]:
    """The same with layers whose loss helps counted as what they are; it may lie outside 0 to n.

    Noise that is cut off at zero adds weight to every layer, so it draws the `centroid` of the
    noisier task to the middle layer. Here it cancels out, at the price of a wider interval.
    """
    weights, total = effects, effects.sum(-1)
    layers = np.arange(weights.shape[-1])
    undefined = np.full(total.shape, np.nan)
    return np.asarray(np.divide(weights @ layers, total, out=undefined, where=total > 0))


def depth_finding(
    study: Study, rule: CausalRule, specialised: ControlledRule, *, gate: float
) -> Finding:
    """Difference of the two tasks' causal depth centroids, reasoning minus recall, in layers."""
    layers = study.subject.architecture.layers
    one = f"the model has {layers} layer: there is no order of layers"
    gates = (*causal_gates(study, gate), Gate("layers", layers > 1, one))
    name = "difference of depth centroids"
    require(*gates)
    prompts = part(study.prompts, EVALUATION, study.prompts.tasks)
    profiles = _profiles(study, prompts, rule)
    whole = POSITIONS.index("all")
    first, second = study.prompts.tasks
    gates = (*gates, *(enough(_known(profiles[t][:, whole]), t) for t in study.prompts.tasks))
    require(*gates)
    depth = {t: centroid(np.nanmean(profiles[t][:, whole], 0)) for t in study.prompts.tasks}
    gates = (*gates, *(_some_cost(depth[t], t) for t in study.prompts.tasks))
    require(*gates)
    difference = _difference(profiles, whole, study)
    n = min(_known(profiles[t][:, whole]) for t in study.prompts.tasks)
    value = float(difference.value)
    effect = Effect(
        "layers",
        value,
        (float(difference.low), float(difference.high)),
        method=f"centroids {depth[second]:.2f} and {depth[first]:.2f}; each layer's "
        "attention and MLP mean-ablated at every token; paired bootstrap of facts",
    )
    name = f"depth of {second} minus depth of {first}"
    evidence = [
        Evidence(name, effect, threshold=0, relation=">", n=n),
        lower_end(effect, n),
        _not_by_noise(_difference(profiles, whole, study, signed_centroid), n),
        *_at_positions(profiles, study),
        *_observed(study, specialised, value),
    ]
    controls = _halves(profiles, whole, study)
    plots = [_profile_plot(profiles, study.prompts.tasks, depth)]
    plots += _patching(study)
    units = _contributions(profiles, whole, study, prompts)
    return Finding(tuple(evidence), controls, gates, units={name: units}, plots=plots)


def _not_by_noise(signed: stats.Estimate, n: int) -> Evidence:
    return Evidence(
        "the same, layers whose loss helps counted as negative",
        Effect(
            "layers",
            float(signed.low),
            (float(signed.low), float(signed.high)),
            method=f"lower end of the 95 % interval of {float(signed.value):.2f}: noise cannot "
            "draw this centroid to the middle",
        ),
        threshold=0,
        relation=">",
        n=n,
    )


def _some_cost(depth: np.ndarray, task: str) -> Gate:
    reason = f"no layer's loss costs {task} anything: its depth is undefined"
    return Gate(f"{task} depth", not np.isnan(depth), reason)


def _known(profile: Float[np.ndarray, "pair layer"]) -> int:
    """Pairs that have a value."""
    return int((~np.isnan(profile).any(1)).sum())


def _profiles(
    study: Study, prompts: PromptSet, rule: CausalRule
) -> dict[str, Float[np.ndarray, "pair position layer"]]:
    """Cost of each layer at each position by fact, in shares of the mean intact difference.

    nan where the intact model misses the item, or the item has no such position.
    """
    layers = study.subject.architecture.layers
    each = [
        Intervention((Site("attn", layer), Site("mlp", layer)), MEAN, position)
        for position in POSITIONS
        for layer in range(layers)
    ]
    found = measured_effects(study, prompts, each, discovery_prompts(study, rule))
    shape = (len(prompts.pairs), len(POSITIONS), layers)
    return {t: d.aligned(d.costs, prompts.pairs).reshape(shape) for t, d in found.items()}


def _difference(
    profiles: Mapping[str, np.ndarray],
    position: int,
    study: Study,
    of: Callable[[np.ndarray], np.ndarray] = centroid,
) -> stats.Estimate:
    """Second task's centroid minus the first's, facts resampled for both together."""
    values = _by_task(profiles, position, study)
    known = ~np.isnan(values).all((1, 2))
    return stats.bootstrap_of_means(
        values[known],
        lambda means: of(means[:, 1]) - of(means[:, 0]),
        resamples=study.plan.resamples,
        seed=study.plan.seed,
    )


def _contributions(
    profiles: Mapping[str, np.ndarray], position: int, study: Study, prompts: PromptSet
) -> dict[str, float]:
    """Of each pair to the difference, for a comparison with another run on the same pairs."""
    made = stats.pseudo_values(
        _by_task(profiles, position, study),
        lambda means: centroid(means[:, 1]) - centroid(means[:, 0]),
    )
    return by_unit(prompts.pairs, made)


def _by_task(
    profiles: Mapping[str, np.ndarray], position: int, study: Study
) -> Float[np.ndarray, "pair task layer"]:
    return np.stack([profiles[t][:, position] for t in study.prompts.tasks], axis=1)


def _at_positions(profiles: Mapping[str, np.ndarray], study: Study) -> list[Evidence]:
    rows = []
    for at, name in enumerate(POSITIONS):
        n = min(_known(profiles[t][:, at]) for t in study.prompts.tasks)
        if name == "all" or n < 2:
            continue
        found = _difference(profiles, at, study)
        rows.append(
            Evidence(
                f"the same, ablated at the {name} tokens",
                Effect("layers", float(found.value), (float(found.low), float(found.high))),
                n=n,
            )
        )
    return rows


def _observed(study: Study, rule: ControlledRule, causal: float) -> list[Evidence]:
    """The order of the layers that h1 finds, and whether it is the causal one."""
    crossed = study.crossed_counterpart()
    if crossed is None:
        return []
    c = controlled_contrast("layer", study.subject.activations(crossed), crossed)
    order = observed_order(rule(c), study.prompts.tasks)
    if np.isnan(order):
        said = "no layer of one of the kinds"
    else:
        said = "agrees" if np.sign(order) == np.sign(causal) else "does not agree"
        said += " with the causal order"
    return [
        Evidence(
            "observational order of the specialised layers",
            Effect(
                "layers", order, method=f"mean layer by type, crossed prompts, as in h1; {said}"
            ),
        )
    ]


def observed_order(table: Components, tasks: Sequence[str]) -> float:
    """Mean layer of the second task's type minus the first's; nan if a type has no layer."""
    of = [table.layer[table.passed & (table.type == t)] for t in tasks]
    if not all(map(len, of)):
        return float("nan")
    return float(of[1].mean() - of[0].mean())


def _halves(profiles: Mapping[str, np.ndarray], position: int, study: Study) -> tuple[Control, ...]:
    """How far the centroids of random halves of one task's facts lie apart."""
    generator = np.random.default_rng(study.plan.seed)
    controls = []
    for task in study.prompts.tasks:
        rows = profiles[task][:, position]
        rows = rows[~np.isnan(rows).any(1)]
        gaps = []
        for _ in range(HALVES):
            order = generator.permutation(len(rows))
            one, two = order[::2], order[1::2]
            gaps.append(float(centroid(rows[one].mean(0)) - centroid(rows[two].mean(0))))
        controls.append(
            Control(
                f"{task} against itself, largest of {HALVES} splits",
                float(np.abs(gaps).max()),
                None,
                note="layers between the centroids of two random halves of the facts",
            )
        )
    return tuple(controls)


def _profile_plot(
    profiles: Mapping[str, np.ndarray], tasks: Sequence[str], depth: Mapping[str, np.ndarray]
) -> Plot:
    kept = [
        i
        for i in range(len(POSITIONS))
        if not any(np.isnan(profiles[t][:, i]).all() for t in tasks)
    ]
    means = {t: np.nanmean(profiles[t][:, kept], 0) for t in tasks}
    said = ", ".join(f"{t} {depth[t]:.2f}" for t in tasks)
    return causal_plots.depth_profile(
        means,
        [f"{POSITIONS[i]} tokens" for i in kept],
        tasks,
        len(profiles[tasks[0]]),
        f"Depth centroids, all tokens: {said}.",
    )


def _patching(study: Study) -> list[Plot]:
    """The layer x position map; none where the materials have no counterfactual prompts."""
    layers = study.subject.architecture.layers
    prompts = part(study.prompts, EVALUATION, study.prompts.tasks, PATCHED_FACTS)
    if not all(i.counterfactual_prompt for i in prompts.items):
        return []
    each = [
        Intervention((Site("resid", layer),), COUNTERFACTUAL, position)
        for layer in range(-1, layers)
        for position in PATCHED
    ]
    whole = Intervention((Site("resid", -1),), COUNTERFACTUAL)
    result = swept(study.subject, prompts, [*each, whole])
    shares = {}
    for task in study.prompts.tasks:
        d = effects_on_correct(result, prompts, task)
        falls = 0.0 - d.logit_difference
        fall = np.array([np.nanmean(row) if not np.isnan(row).all() else np.nan for row in falls])
        if not fall[-1] > 0 or np.isnan(fall[:-1]).all():  # nothing that could be carried over
            return []
        shares[task] = (fall[:-1] / fall[-1]).reshape(layers + 1, len(PATCHED))
    names = ["emb", *map(str, range(layers))]
    return [
        causal_plots.patching_map(shares, names, PATCHED, study.prompts.tasks, len(prompts.pairs))
    ]
