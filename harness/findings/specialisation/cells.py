"""From activations to tables of components: the published rules and the controlled one.

A *cell* is one number a prompt (a layer's feature, a head's metric, a neuron's value); a
*component* (layer, head, neuron) has one or more cells. Positive effects mean more under the
treated task (recall), negative more under the control task (reasoning).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from harness import stats
from harness.activations.extracted import (
    HEAD_METRICS,
    LAYER_FEATURES,
    PUBLISHED_HEAD_METRICS,
    PUBLISHED_LAYER_FEATURES,
    Activations,
)
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet, paired
from harness.verdicts.components import Components, Kind

LEAST_PAIRS = 2  # that a d can be computed from
# Controlled variants: concentration is a monotone of entropy and would vote twice.
CONTROLLED_LAYER_FEATURES = (
    "resid_norm",
    "resid_mean",
    "attention_entropy_per_log_length",
    "gate_mean_abs",
    "gate_sparsity",
)
CONTROLLED_HEAD_METRICS = (
    "entropy_per_log_length",
    "maximum",
    "self_focus",
    "deviation",
    "gini",
)


@dataclass(frozen=True, slots=True)
class Cells:
    """Many cells of one kind; cells of a component are consecutive, `metrics` of them each."""

    kind: Kind
    values: Float[np.ndarray, "prompt cell"]
    layer: Int[np.ndarray, " cell"]
    index: Int[np.ndarray, " cell"]
    metrics: tuple[str, ...]

    @property
    def constant(self) -> int:
        """Cells with one value on every prompt: d is undefined there, and counts as no effect."""
        return int(stats.constant_cells(self.values).sum())

    def rows(self, keep: Int[np.ndarray, " kept"]) -> Self:
        """The same cells on some of the prompts."""
        return replace(self, values=self.values[keep])


def _select(array: np.ndarray, names: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    return array[..., [names.index(name) for name in wanted]]


def layer_cells(activations: Activations, features: Sequence[str]) -> Cells:
    """One cell a layer and feature."""
    values = _select(activations.layers, LAYER_FEATURES, features)
    prompts, layers, count = values.shape
    layer = np.repeat(np.arange(layers), count)
    return Cells(
        "layer", values.reshape(prompts, -1), layer, np.full(len(layer), -1), tuple(features)
    )


def head_cells(activations: Activations, metrics: Sequence[str]) -> Cells:
    """One cell a head and metric."""
    values = _select(activations.heads, HEAD_METRICS, metrics)
    prompts, layers, heads, count = values.shape
    layer = np.repeat(np.arange(layers), heads * count)
    index = np.tile(np.repeat(np.arange(heads), count), layers)
    return Cells("head", values.reshape(prompts, -1), layer, index, tuple(metrics))


def neuron_cells(activations: Activations, which: Literal["gates", "neurons"]) -> Cells:
    """One cell a neuron: its gate (published) or what it writes (controlled)."""
    values = activations.gates if which == "gates" else activations.neurons
    prompts, layers, neurons = values.shape
    layer = np.repeat(np.arange(layers), neurons)
    index = np.tile(np.arange(neurons), layers)
    return Cells("neuron", values.reshape(prompts, -1), layer, index, (which,))


def published_cells(kind: Kind, activations: Activations) -> Cells:
    """The cells of the published criterion."""
    if kind == "layer":
        return layer_cells(activations, PUBLISHED_LAYER_FEATURES)
    if kind == "head":
        return head_cells(activations, PUBLISHED_HEAD_METRICS)
    return neuron_cells(activations, "gates")


def controlled_cells(kind: Kind, activations: Activations) -> Cells:
    """The cells of the controlled criterion."""
    if kind == "layer":
        return layer_cells(activations, CONTROLLED_LAYER_FEATURES)
    if kind == "head":
        return head_cells(activations, CONTROLLED_HEAD_METRICS)
    return neuron_cells(activations, "neurons")


@dataclass(frozen=True, slots=True)
class PublishedRule:
    """Mann-Whitney a cell, corrected over the components of a metric, |d| beyond a bar, votes.

    Source: Fartale et al. 2025 (public notebooks).
    """

    threshold_d: float
    alpha: float
    votes: int
    correction: Literal["benjamini-hochberg", "bonferroni"]

    def __call__(self, cells: Cells, prompts: PromptSet) -> Components:
        """Apply the rule to all prompts of two tasks, as independent groups."""
        rows = {
            t: [i for i, item in enumerate(prompts.items) if item.task == t] for t in prompts.tasks
        }
        treated, control = (cells.values[rows[t]] for t in prompts.tasks)
        d = stats.cohens_d(treated, control)
        p = stats.mann_whitney(treated, control).p
        shaped = p.reshape(-1, len(cells.metrics))
        if self.correction == "bonferroni":
            q = stats.bonferroni(shaped, axis=0)
        else:
            q = stats.benjamini_hochberg(shaped, axis=0)
        d = np.where(np.isnan(d), 0.0, d).reshape(shaped.shape)
        significant = (q <= self.alpha) & (np.abs(d) > self.threshold_d)
        votes = (np.sign(d) * significant).sum(1)
        passed = significant.sum(1) >= self.votes
        names = np.array([prompts.tasks[1], "mixed", prompts.tasks[0]])
        kind_of = names[np.sign(votes).astype(int) + 1]
        # What is shown of a component that passed is a vote that was counted, on the winning side.
        winning = significant & ((votes == 0)[:, None] | (np.sign(d) == np.sign(votes)[:, None]))
        shown = np.where(passed[:, None] & ~winning, 0.0, np.abs(d))
        return _components(cells, d, np.full_like(d, np.nan), q, passed, kind_of, shown)


def _components(
    cells: Cells,
    d: Float[np.ndarray, "component metric"],
    discovery: Float[np.ndarray, "component metric"],
    q: Float[np.ndarray, "component metric"],
    passed: Bool[np.ndarray, " component"],
    type_: np.ndarray,
    choose: np.ndarray,
) -> Components:
    strongest = choose.argmax(1)
    rows = np.arange(len(d))
    step = len(cells.metrics)
    return Components(
        cells.kind,
        cells.layer[::step],
        cells.index[::step],
        cells.metrics,
        strongest,
        d[rows, strongest],
        discovery[rows, strongest],
        q[rows, strongest],
        passed,
        np.where(passed, type_, ""),
        d,
    )


@dataclass(frozen=True, slots=True)
class Contrast:
    """A set's pair contrasts, ready for selection and judgement.

    Attributes:
        values: Mean over a pair's treated prompts minus mean over its control prompts.
        treated, control: Positions of each pair's prompts.
        pair, split, template: Of each pair; `pair` is its name.
    """

    cells: Cells
    values: Float[np.ndarray, "pair cell"]
    treated: Int[np.ndarray, "pair k"]
    control: Int[np.ndarray, "pair k"]
    pair: np.ndarray
    split: np.ndarray
    template: np.ndarray
    tasks: tuple[str, str]
    crossed: bool

    def effect(self, pairs: np.ndarray) -> Float[np.ndarray, " cell"]:
        """`stats.crossed_d` over these pairs; 0 for a cell that never varies."""
        d = stats.crossed_d(self.cells.values, self.treated[pairs], self.control[pairs])
        return np.where(np.isnan(d), 0.0, d)

    def blocks(self, pairs: np.ndarray) -> list[str] | None:
        """What flips together in a permutation: uncrossed, the pairs of a template; else None."""
        return None if self.crossed else [str(name) for name in self.template[pairs]]

    def flipped(self, signs: np.ndarray) -> Self:
        """The same data with the labels of some pairs exchanged: the shuffled-label control."""
        swap = (signs < 0)[:, None]
        return replace(
            self,
            values=self.values * signs[:, None].astype(self.values.dtype),
            treated=np.where(swap, self.control, self.treated),
            control=np.where(swap, self.treated, self.control),
        )


def contrast(cells: Cells, prompts: PromptSet) -> Contrast:
    """Pair contrasts of a set.

    Raises:
        ValueError: If no pair holds prompts of both tasks, or not the same number of each.
    """
    table = paired(prompts.items, prompts.tasks)
    if not table:
        raise ValueError(
            f"no pair of {prompts.name} holds prompts of both {prompts.tasks[0]} and "
            f"{prompts.tasks[1]}; give a `pair` column, or cross the classes with --crossed"
        )
    first, second = prompts.tasks
    each = len(next(iter(table.values()))[first])
    for pair, row in table.items():
        if not len(row[first]) == len(row[second]) == each:
            raise ValueError(
                f"pair {pair!r} of {prompts.name} holds {len(row[first])} {first} and "
                f"{len(row[second])} {second} prompts; every pair needs {each} of each, as the "
                "first one has, so that labels can be exchanged"
            )
    treated = np.array([row[first] for row in table.values()])
    control = np.array([row[second] for row in table.values()])
    at = treated[:, 0]
    return Contrast(
        cells,
        stats.pair_contrast(cells.values, treated, control),
        treated,
        control,
        np.array(list(table)),
        np.array([prompts.items[i].split for i in at]),
        np.array([prompts.items[i].template for i in at]),
        prompts.tasks,
        prompts.crossed,
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """What the controlled rule measured and decided, one entry a cell.

    Attributes:
        found: d on discovery pairs.
        p_found: Max-statistic p on discovery pairs, corrected over all cells.
        chosen: Whether it was chosen, on discovery pairs alone.
        d: d on evaluation pairs.
        p: Max-statistic p on evaluation pairs, corrected over the chosen cells; 1 if not chosen.
        holds: Whether it was chosen and holds on evaluation pairs.
    """

    found: Float[np.ndarray, " cell"]
    p_found: Float[np.ndarray, " cell"]
    chosen: Bool[np.ndarray, " cell"]
    d: Float[np.ndarray, " cell"]
    p: Float[np.ndarray, " cell"]
    holds: Bool[np.ndarray, " cell"]

    @property
    def strongest(self) -> int:
        """The cell with the largest |d| on discovery pairs, of the chosen ones if there are any."""
        size = np.abs(self.found)
        return int((np.where(self.chosen, size, -1.0) if self.chosen.any() else size).argmax())


@dataclass(frozen=True, slots=True)
class ControlledRule:
    """Choose on discovery pairs, judge on evaluation pairs.

    A cell is chosen if its |d| is beyond the bar and its max-statistic p, over all cells of the
    kind, is at most alpha on discovery pairs. It holds if on evaluation pairs |d| is beyond the
    bar with the same sign, stays so with any one template left out, has the same sign within
    every template, and its p, corrected over the chosen cells, is at most alpha. A component
    passes if one of its cells holds.
    """

    threshold_d: float
    alpha: float
    permutations: int
    seed: int

    def __call__(self, c: Contrast) -> Components:
        """Apply the rule."""
        return self.table(c, self.judged(c))

    def judged(self, c: Contrast) -> Judged:
        """Choose and judge every cell."""
        discovery, evaluation = c.split == DISCOVERY, c.split == EVALUATION
        d_found, p_found = c.effect(discovery), self.p_adjusted(c, discovery)
        chosen = (np.abs(d_found) > self.threshold_d) & (p_found <= self.alpha)
        d = c.effect(evaluation)
        p, holds = np.ones_like(p_found), np.zeros_like(chosen)
        if chosen.any():
            p[chosen] = self.p_adjusted(c, evaluation, chosen)
            sign = np.sign(d_found[chosen])
            holds[chosen] = (
                (d[chosen] * sign > self.threshold_d)
                & (p[chosen] <= self.alpha)
                & self.holds_in_templates(c, evaluation, sign, chosen)
            )
        return Judged(d_found, p_found, chosen, d, p, holds)

    def table(self, c: Contrast, j: Judged) -> Components:
        """Components from their cells."""
        shape = (-1, len(c.cells.metrics))
        q = np.where(j.chosen, j.p, j.p_found)
        d, found, q, holds = (x.reshape(shape) for x in (j.d, j.found, q, j.holds))
        # A component's sign is that of its strongest holding cell; where none holds, of the
        # strongest on discovery, so that evaluation never chooses what is shown.
        choose = np.where(holds.any(1, keepdims=True) & ~holds, 0.0, np.abs(found))
        strongest = choose.argmax(1)
        sign = np.sign(d[np.arange(len(d)), strongest]).astype(int)
        names = np.array([c.tasks[1], "", c.tasks[0]])[sign + 1]
        return _components(c.cells, d, found, q, np.any(holds, axis=1), names, choose)

    def p_adjusted(
        self, c: Contrast, pairs: np.ndarray, cells: np.ndarray | None = None
    ) -> Float[np.ndarray, " cell"]:
        """Max-statistic sign-flip p over `cells`; a pair is the unit, or, uncrossed, a template."""
        values = c.values[pairs] if cells is None else c.values[np.ix_(pairs, cells)]
        blocks = c.blocks(pairs)
        if blocks is not None and len(set(blocks)) < 2:
            return np.ones(values.shape[1])  # one unit: nothing can be told from chance
        test = stats.sign_flip_max(
            values, permutations=self.permutations, seed=self.seed, blocks=blocks
        )
        return test.p_adjusted

    def floor(self, c: Contrast, parts: Sequence[np.ndarray] = ()) -> float:
        """The smallest adjusted p that each of these parts (the two halves) can reach."""
        floors = []
        for part in parts or (c.split == DISCOVERY, c.split == EVALUATION):
            pairs = np.arange(len(c.values))[part]
            blocks = c.blocks(pairs)
            if blocks is not None and len(set(blocks)) < 2:
                return 1.0
            one_cell = np.ones((len(pairs), 1), np.float32)
            floors.append(
                stats.sign_flip_max(one_cell, permutations=self.permutations, blocks=blocks).floor
            )
        return max(floors)

    def holds_in_templates(
        self, c: Contrast, pairs: np.ndarray, sign: np.ndarray, cells: np.ndarray
    ) -> Bool[np.ndarray, " chosen"]:
        """Whether no single template carries the effect of these cells.

        The mean contrast has the expected sign within every template, and d is beyond the bar
        with any one of them left out. The sign alone is not enough: where the effect is in one
        template of k, chance gives the others its sign once in 2^(k - 1).
        """
        few = replace(c, cells=replace(c.cells, values=c.cells.values[:, cells]))
        values = c.values[:, cells]
        agree = np.ones(len(sign), dtype=bool)
        for template in dict.fromkeys(c.template[pairs]):
            inside = c.template == template
            agree &= np.sign(values[pairs & inside].mean(0)) == sign
            others = pairs & ~inside
            if others.sum() >= LEAST_PAIRS:
                agree &= few.effect(others) * sign > self.threshold_d
        return agree


def shuffled_counts(
    rule: ControlledRule, c: Contrast, shuffles: int, seed: int
) -> Int[np.ndarray, " shuffle"]:
    """Components found when the task labels of random pairs are exchanged."""
    signs = stats.random_signs(np.arange(len(c.values)), draws=shuffles, seed=seed)
    return np.array([rule(c.flipped(row)).count for row in signs])


def published_consistency(
    cells: Cells, prompts: PromptSet, rule: PublishedRule, folds: int, share: float, seed: int
) -> tuple[int, int]:
    """(consistent, specialised): components whose modal type holds in `share` of training folds.

    As published: the rule is refitted on each four fifths, never tested on the fifth, and
    "mixed" counts as a type.
    """
    whole = rule(cells, prompts)
    types = []
    for train, _ in stats.grouped_folds([i.pair for i in prompts.items], folds, seed):
        subset = replace(prompts, items=tuple(prompts.items[i] for i in train))
        types.append(rule(cells.rows(train), subset).type)
    if not whole.count:
        return 0, 0
    modal = stats.modal_share(np.array(types)[:, whole.passed], excluded=("",))
    return int((modal >= share).sum()), whole.count


@dataclass(frozen=True, slots=True)
class Consistency:
    """How components chosen on training folds fare on the held-out fold, folds pooled."""

    chosen: int
    held: int
    by_fold: Float[np.ndarray, " fold"]  # share held; nan where a fold chose nothing

    @property
    def share(self) -> float:
        """Held of chosen; nan if nothing was chosen."""
        return self.held / self.chosen if self.chosen else float("nan")


def pair_folds(c: Contrast, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(training, held-out) pairs of each fold."""
    return stats.grouped_folds([str(i) for i in range(len(c.values))], folds, seed)


def held_out_consistency(c: Contrast, rule: ControlledRule, folds: int, seed: int) -> Consistency:
    """Choose cells on the training pairs; on the held-out pairs require the bar and the sign."""
    chosen_total = held_total = 0
    shares = []
    for train, test in pair_folds(c, folds, seed):
        d_train, p_train = c.effect(train), rule.p_adjusted(c, train)
        chosen = (np.abs(d_train) > rule.threshold_d) & (p_train <= rule.alpha)
        d_test = c.effect(test)
        held = chosen & (np.abs(d_test) > rule.threshold_d) & (np.sign(d_test) == np.sign(d_train))
        per_component = (-1, len(c.cells.metrics))
        was, is_ = (int(x.reshape(per_component).any(1).sum()) for x in (chosen, held))
        chosen_total, held_total = chosen_total + was, held_total + is_
        shares.append(is_ / was if was else float("nan"))
    return Consistency(chosen_total, held_total, np.array(shares))


def selections(
    c: Contrast, threshold_d: float, resamples: int, seed: int
) -> Bool[np.ndarray, "resample component"]:
    """Components beyond the bar on each bootstrap resample of the pairs."""
    found = stats.bootstrap_selection(
        c.cells.values,
        c.treated,
        c.control,
        threshold=threshold_d,
        resamples=resamples,
        seed=seed,
    )
    shape = (len(found), -1, len(c.cells.metrics))
    return np.asarray(found.reshape(shape).any(2))
