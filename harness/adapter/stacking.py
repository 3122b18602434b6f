"""One forward of many edit sets: stacked rows, from the first layer and position edited."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import nnsight
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from harness.adapter.clean import Clean, Network
from harness.adapter.editing import (
    STORES,
    Placed,
    Store,
    Written,
    read_store,
    store_at,
    write,
)
from harness.adapter.encoding import Batch
from harness.adapter.sites import first, follow, mix_weight
from harness.places import EditError, Site

ROUNDING, VISIBLE = 1e-5, 1e-2  # of the residual stream: what may be rounding, what cannot be


@dataclass(frozen=True, slots=True)
class Chunk:
    """Edit sets that run together.

    Attributes:
        sets: Their numbers.
        start: The first layer to run; the number of layers if none.
        stage: How much of that layer is known (see `KNOWN`).
        column: The first position to run, in the padded batch.
    """

    sets: tuple[int, ...]
    start: int
    stage: int
    column: int


# What is known of the first layer: nothing before a pattern that is edited (stage 0), z before
# heads (1), the attention before neurons (2), the MLP as well before what it adds (3).
KNOWN: tuple[tuple[str, ...], ...] = (
    (),
    ("z",),
    ("attention", "neurons"),
    ("attention", "feedforward"),
)
STAGES = {"resid": 0, "pattern": 0, "z": 1, "attn": 1, "neurons": 2, "mlp": 3}


def first_stage(sites: Iterable[Site]) -> tuple[int, int]:
    """The first layer that computes something else because of the edits, and the stage there."""
    sites = list(sites)
    start = min(first_layer(site) for site in sites)
    entered = [site for site in sites if first_layer(site) == start]
    if any(site.kind == "resid" for site in entered):
        return start, 0
    return start, min(STAGES[store_at(site)[0]] for site in entered)


def known_stores(start: int, stage: int) -> set[Store]:
    """What a clean run must keep so that a chunk can be resumed there."""
    return {(store, start) for store in KNOWN[stage]}


class Forward:
    """One stacked forward of a chunk."""

    def __init__(
        self,
        network: Network,
        chunk: Chunk,
        sets: list[list[Placed]],
        batch: Batch,
        clean: Clean,
    ) -> None:
        self.network, self.chunk, self.clean = network, chunk, clean
        self.prompts, self.width = batch.ids.shape
        self.columns = self.width - chunk.column
        self.batch = batch
        self.edits: dict[Store, list[tuple[int, Placed]]] = {}
        for number, placed in enumerate(sets):
            for each in placed:
                self.edits.setdefault(store_at(each.edit.site), []).append((number, each))
        self.written: list[Written] = []
        self.after: Tensor | None = None  # the residual stream after the first layer that ran
        self.mixed: Tensor | None = None  # the largest z of that layer, where a pattern is edited

    def run(self) -> Float[Tensor, "row d_vocab"]:
        """The last token's logits, float32, on the device of the batch."""
        network, start = self.network, self.chunk.start
        entering = self._entering() if start else None
        attention, feedforward = self._known_outputs()
        with network.engine.trace(**self._inputs(), logits_to_keep=1) as tracer:
            for number, layer in enumerate(follow(network.engine, network.sites.layers)):
                if number < start:
                    layer.skip(entering)
                    continue
                if number == start and attention is not None:
                    follow(layer, network.sites.attention).skip((attention, None))
                if number == start and feedforward is not None:
                    follow(layer, network.sites.mlp).skip(feedforward)
                self._edit_layer(layer, number)
            logits = nnsight.save(tracer.result.logits)
        self._refuse_lost_writes()
        found: Tensor = logits[:, -1].float().to(self.batch.ids.device)
        return found

    def _inputs(self) -> dict[str, Any]:
        column, count = self.chunk.column, len(self.chunk.sets)
        inputs: dict[str, Any] = {
            "input_ids": self.batch.ids[:, column:].repeat(count, 1),
            "attention_mask": self.batch.mask.repeat(count, 1),
            "position_ids": self.batch.position_ids[:, column:].repeat(count, 1),
            "use_cache": column > 0,
        }
        if column:
            inputs["past_key_values"] = self._cache(column, count)
        return inputs

    def _cache(self, column: int, count: int) -> DynamicCache:
        """Keys and values of the positions that are not run, once a row."""
        cache = DynamicCache()
        for number, layer in enumerate(self.clean.cache.layers):
            # Of attentions that are skipped only the length is read.
            times = count if number >= self.chunk.start + bool(self.chunk.stage) else 1
            keys, values = layer.keys[:, :, :column], layer.values[:, :, :column]
            cache.update(keys.repeat(times, 1, 1, 1), values.repeat(times, 1, 1, 1), number)
        return cache

    def _entering(self) -> Tensor:
        """The residual stream into the first layer that runs."""
        start = self.chunk.start
        clean = self.clean.resid[start][:, self.chunk.column :]
        stacked = clean.repeat(len(self.chunk.sets), 1, 1)
        self._write(stacked, ("resid", start - 1))
        return stacked

    def _known_outputs(self) -> tuple[Tensor | None, Tensor | None]:
        """What the first layer's attention and MLP put out, where that need not be run."""
        if not self.chunk.stage:
            return None, None
        layer = follow(self.network.engine._module, self.network.sites.layers)[self.chunk.start]
        if self.chunk.stage == 1:
            attention = follow(layer, self.network.sites.attention)
            return follow(attention, self.network.sites.head_mix)(self._stacked("z")), None
        if self.chunk.stage == 2:
            mlp = follow(layer, self.network.sites.mlp)
            mixed = follow(mlp, self.network.sites.neuron_mix)(self._stacked("neurons"))
            return self._stacked("attention"), mixed
        return self._stacked("attention"), self._stacked("feedforward")

    def _stacked(self, store: str) -> Tensor:
        """A tensor of the first layer as the clean run had it, once a row, edited."""
        at = (store, self.chunk.start)
        clean = self.clean.stores[at][:, self.chunk.column :]
        stacked = clean.repeat(len(self.chunk.sets), 1, 1)
        self._write(stacked, at)
        return stacked

    def _edit_layer(self, layer: Any, number: int) -> None:
        """All edits of a layer; in the last one, only the last token is carried on."""
        network = self.network
        narrow = number == network.layers - 1 and self.columns > 1
        known = KNOWN[self.chunk.stage] if number == self.chunk.start else ()
        if number == 0 and ("resid", -1) in self.edits:
            self._write(layer.input, ("resid", -1))
        for store in STORES:
            at = (store, number)
            if store in known or ("attention" in known and store in ("pattern", "z")):
                continue
            if narrow and store == "z":
                mix = follow(follow(layer, network.sites.attention), network.sites.head_mix)
                last = mix.input[:, -1:].clone()
                self._write(last, at)
                mix.input = last
                continue
            if narrow and store == "neurons" and "attention" not in known:
                mlp = follow(layer, network.sites.mlp)
                mlp.input = mlp.input[:, -1:]
            if at in self.edits:
                tensor = read_store(layer, network.sites, store)
                if narrow:
                    tensor = tensor[:, :, -1:] if store == "pattern" else tensor[:, -1:]
                self._write(tensor, at)
                if store == "pattern" and number == self.chunk.start:
                    self.mixed = read_store(layer, network.sites, "z").abs().amax()
        if number == self.chunk.start:
            self.after = nnsight.save(first(layer.output))

    def _write(self, tensor: Tensor, at: Store) -> None:
        edits = self.edits.get(at, [])
        self.written += write(tensor, edits, self.prompts, self.network.heads)

    def _refuse_lost_writes(self) -> None:
        """A value that moved far must be seen in the residual stream after its layer.

        Measured in the first layer that ran, whose clean output is known. What moves the stream
        by less than rounding, by its size and the weights that carry it, cannot be told.
        """
        if self.after is None:
            return
        clean = self.clean.resid[self.chunk.start + 1][:, self.chunk.column :].float()
        shape = (len(self.chunk.sets), self.prompts)
        after = self.after.float().reshape(*shape, *clean.shape[1:])
        last = slice(-1, None) if self.chunk.start == self.network.layers - 1 else slice(None)
        seen = (after - clean)[:, :, last].abs().flatten(2).amax(2)
        scale = clean.abs().amax()
        for written in self.written:
            site = written.placed.edit.site
            if site.layer != self.chunk.start:
                continue
            expected = written.moved.to(scale) * self._carried(site)
            lost = (seen[written.number] <= ROUNDING * scale) & (expected > VISIBLE * scale)
            if bool(lost.any()):
                raise EditError(
                    f"{written.placed.edit} changed values that the model does not read: the "
                    "residual stream after the layer is the same. Check the site's row in "
                    "harness/adapter/sites.py against this version of transformers."
                )

    def _carried(self, site: Site) -> float:
        """The largest weight between a value at the site and the residual stream."""
        layer = follow(self.network.engine._module, self.network.sites.layers)[site.layer]
        if site.kind in ("head", "pattern"):
            attention = follow(layer, self.network.sites.attention)
            weight = mix_weight(follow(attention, self.network.sites.head_mix))
            if site.index is not None:
                weight = weight.reshape(len(weight), self.network.heads, -1)[:, site.index]
            values = 1.0 if self.mixed is None or site.kind == "head" else float(self.mixed)
            return float(weight.abs().amax()) * values
        if site.kind == "neuron":
            mlp = follow(layer, self.network.sites.mlp)
            weight = mix_weight(follow(mlp, self.network.sites.neuron_mix))
            if isinstance(site.index, tuple):
                weight = weight[:, list(site.index)]
            return float(weight.abs().amax())
        return 1.0


def first_layer(site: Site) -> int:
    """The first layer that computes something else because of an edit at the site."""
    return site.layer + 1 if site.kind == "resid" else site.layer
