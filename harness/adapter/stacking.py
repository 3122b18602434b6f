"""One forward pass of many edit sets: stacked rows, from the first edited layer and position."""

from typing import Any

import nnsight
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from harness.adapter.architectures import (
    first,
    follow,
    largest_weights,
    narrow_attention,
    widened,
)
from harness.adapter.chunks import KNOWN, Chunk
from harness.adapter.clean import Clean, Network
from harness.adapter.editing import (
    STORES,
    Placed,
    SourceValues,
    Written,
    read_store,
    store_at,
    write,
)
from harness.adapter.encoding import Batch
from harness.adapter.scoring import last_tokens_only
from harness.interventions.sites import EditError, Site

ROUNDING, VISIBLE = 1e-5, 1e-2  # shares of the residual stream: may be rounding; cannot be rounding


class Forward:
    """One stacked forward pass of a chunk."""

    def __init__(
        self,
        network: Network,
        chunk: Chunk,
        sets: list[list[Placed]],
        batch: Batch,
        clean: Clean,
    ) -> None:
        self.network, self.chunk, self.clean = network, chunk, clean
        self.batch = batch
        self.trees, width = batch.ids.shape
        # Positions that are run, and where among them prompts end; on the CPU.
        self.columns = torch.arange(chunk.column, width)
        self.ends = batch.ends - chunk.column
        self.edits: dict[SourceValues, list[tuple[int, Placed]]] = {}
        for number, placed in enumerate(sets):
            for each in placed:
                self.edits.setdefault(store_at(each.edit.site), []).append((number, each))
        self.written: list[Written] = []
        self.after: Tensor | None = None  # the residual stream after the first layer that ran

    def run(self) -> Float[Tensor, "row d_vocab"]:
        """Logits of each prompt's last token, float32, on the device of the batch."""
        network, start = self.network, self.chunk.start
        entering = self._entering() if start else None
        read = self._read_by_decoder(entering)
        attention, feedforward = self._known_outputs()
        with (
            last_tokens_only(network.module, *self._ends_of_rows()),
            network.engine.trace(**self._inputs()) as tracer,
        ):
            for number, layer in enumerate(follow(network.engine, network.sites.layers)):
                if number < start:
                    given = entering if number >= (network.sites.decoder or 0) else read
                    layer.skip((given, None) if network.sites.gives_tuple else given)
                    continue
                if number == start and attention is not None:
                    follow(layer, network.sites.attention).skip((attention, None))
                if number == start and feedforward is not None:
                    follow(layer, network.sites.mlp).skip(feedforward)
                self._edit_layer(layer, number)
            logits = nnsight.save(tracer.result.logits)
        self._refuse_lost_writes()
        last: Tensor = logits[:, 0].float().to(self.batch.ids.device)
        return last

    def _ends_of_rows(self) -> tuple[Int[Tensor, " row"], Int[Tensor, " row"]]:
        """The stacked tree and the position of the last token of each prompt, set by set."""
        count = len(self.chunk.sets)
        above = torch.arange(count).repeat_interleave(len(self.batch.tree)) * self.trees
        last = self.batch.last - self.chunk.column
        return above + self.batch.tree.repeat(count), last.repeat(count)

    def _inputs(self) -> dict[str, Any]:
        column, count = self.chunk.column, len(self.chunk.sets)
        whole = self.batch.inputs
        mask = whole["attention_mask"]
        mask = mask if mask.ndim == 2 else mask[:, :, column:]
        inputs: dict[str, Any] = {
            "input_ids": self.batch.ids[:, column:].repeat(count, 1),
            "attention_mask": mask.repeat(count, *[1] * (mask.ndim - 1)),
            "position_ids": self.batch.position_ids[:, column:].repeat(count, 1),
            "use_cache": column > 0,
        }
        if column:
            inputs["past_key_values"] = self._cache(column, count)
        return inputs

    def _cache(self, column: int, count: int) -> DynamicCache:
        """Keys and values of the positions that are not run, repeated for each row."""
        cache = DynamicCache()
        assert self.clean.cache is not None  # without one every position is run
        for number, layer in enumerate(self.clean.cache.layers):
            # Of skipped attentions only the length is read.
            times = count if number >= self.chunk.start + bool(self.chunk.stage) else 1
            keys, values = layer.keys[:, :, :column], layer.values[:, :, :column]
            cache.update(keys.repeat(times, 1, 1, 1), values.repeat(times, 1, 1, 1), number)
        return cache

    def _entering(self) -> Tensor:
        """The residual stream into the first layer that runs."""
        start = self.chunk.start
        clean = self.clean.resid[start][:, self.chunk.column :]
        stacked = clean.repeat(len(self.chunk.sets), 1, 1)
        none_left = start == self.network.layers
        self._edit(stacked, ("resid", start - 1), self.ends if none_left else None)
        return stacked

    def _read_by_decoder(self, entering: Tensor | None) -> Tensor | None:
        """What the encoder gives, where no edit of it is made and its layers are not run."""
        decoder = self.network.sites.decoder
        if decoder is None or self.chunk.start <= decoder:
            return entering
        return self.clean.resid[decoder].repeat(len(self.chunk.sets), 1, 1)

    def _known_outputs(self) -> tuple[Tensor | None, Tensor | None]:
        """Outputs of the first layer's attention and MLP, where they need not be run."""
        if not self.chunk.stage:
            return None, None
        layer = follow(self.network.module, self.network.sites.layers)[self.chunk.start]
        if self.chunk.stage == 1:
            attention = follow(layer, self.network.sites.attention)
            return follow(attention, self.network.sites.head_mix)(self._stacked("z")), None
        if self.chunk.stage == 2:
            mlp = follow(layer, self.network.sites.mlp)
            mixed = follow(mlp, self.network.sites.neuron_mix)(self._stacked("neurons"))
            return self._stacked("attention"), mixed
        return self._stacked("attention"), self._stacked("feedforward")

    def _stacked(self, store: str) -> Tensor:
        """A tensor of the first layer from the clean run, repeated for each row, edited."""
        at = (store, self.chunk.start)
        clean = self.clean.stores[at][:, self.chunk.column :]
        stacked = clean.repeat(len(self.chunk.sets), 1, 1)
        self._write(stacked, at)
        return stacked

    def _edit_layer(self, layer: Any, number: int) -> None:
        """Make all edits of a layer; the last layer is computed only where prompts end."""
        network = self.network
        ends = self.ends if len(self.ends) < len(self.columns) else None
        ends = ends if number == network.layers - 1 else None
        known = KNOWN[self.chunk.stage] if number == self.chunk.start else ()
        if number == 0 and ("resid", -1) in self.edits:
            self._write(layer.input, ("resid", -1))
        if ends is not None and number > self.chunk.start:
            narrow_attention(layer, network.sites, ends)
        for store in STORES:
            at = (store, number)
            if store in known or ("attention" in known and store == "z"):
                continue
            # Attention and MLP need not compute outputs that are not read.
            part = {"z": network.sites.attention, "neurons": network.sites.mlp}.get(store)
            part = part if store == "z" or network.sites.mlp_alone else None
            if ends is not None and part is not None and "attention" not in known:
                module = follow(layer, part)
                if store == "z":
                    module = follow(module, network.sites.head_mix)
                module.input = module.input[:, ends]
                if at in self.edits:
                    tensor = read_store(layer, network.sites, store)
                    self._write(tensor, at, ends)
                module.output = widened(module.output, ends, len(self.columns))
                continue
            if at in self.edits:
                tensor = read_store(layer, network.sites, store)
                self._edit(tensor, at, ends)
        if number == self.chunk.start:
            self.after = nnsight.save(first(layer.output))

    def _edit(self, tensor: Tensor, at: SourceValues, ends: Tensor | None) -> None:
        """Edit a tensor of all positions that are run: everywhere, or only where prompts end."""
        if ends is None:
            self._write(tensor, at)
            return
        chosen = tensor.index_select(1, ends.to(tensor.device))
        self._write(chosen, at, ends)
        tensor.index_copy_(1, ends.to(tensor.device), chosen)

    def _write(self, tensor: Tensor, at: SourceValues, ends: Tensor | None = None) -> None:
        edits = self.edits.get(at, [])
        columns = self.columns if ends is None else self.columns[ends]
        self.written += write(tensor, edits, columns, self.network.heads)

    def moved(self, written: Written) -> Float[Tensor, " prompt"]:
        """How far an edit moved a value of each prompt that its last token depends on."""
        moved, layer = written.moved.to(self.batch.ids.device), written.placed.edit.site.layer
        return self._largest(moved, written.columns, layer)

    def something(self, written: Written) -> Bool[Tensor, ""]:
        """Whether there was a value other than zero to move."""
        values, layer = written.something.to(self.batch.ids.device), written.placed.edit.site.layer
        return self._largest(values, written.columns, layer).any()

    def _largest(
        self,
        values: Float[Tensor, "*axes tree column"],
        columns: Int[Tensor, " column"],
        layer: int,
    ) -> Float[Tensor, "*axes prompt"]:
        """Over the positions that each prompt's last token depends on after a layer."""
        if layer == self.network.layers - 1:
            depends = (columns == self.batch.last[:, None]).to(values.device)
        else:
            depends = self.batch.visible[:, columns]
        return values[..., self.batch.tree, :].where(depends, 0.0).amax(-1)

    def _refuse_lost_writes(self) -> None:
        """A value that moved far must be seen in the residual stream after its layer.

        In one prompt the moved values may cancel each other, so all that should show it count.
        Measured in the first layer that ran, whose clean output is known. A change that
        moves the stream by less than rounding error cannot be checked.
        """
        if self.after is None:
            return
        clean = self.clean.resid[self.chunk.start + 1][:, self.chunk.column :].float()
        shape = (len(self.chunk.sets), *clean.shape)
        away = (self.after.float().reshape(shape) - clean).abs().amax(-1)
        seen = self._largest(away.to(self.batch.ids.device), self.columns, self.chunk.start)
        scale = clean.abs().amax().to(seen)
        for written in self.written:
            site = written.placed.edit.site
            if site.layer != self.chunk.start:
                continue
            expected = self.moved(written) * self._carried(site)
            visible = expected > VISIBLE * scale
            lost = seen[written.number] <= ROUNDING * scale
            if bool(visible.any()) and bool(lost[visible].all()):
                raise EditError(
                    f"{written.placed.edit} changed values that the model does not read: the "
                    "residual stream after the layer is the same. Check the site's row in "
                    "harness/adapter/architectures.py against this version of transformers."
                )

    def _carried(self, site: Site) -> float:
        """The largest weight from a value at the site to the residual stream."""
        layer = follow(self.network.module, self.network.sites.layers)[site.layer]
        if site.kind == "head":
            attention = follow(layer, self.network.sites.attention)
            weight = largest_weights(follow(attention, self.network.sites.head_mix))
            return float(weight.reshape(self.network.heads, -1)[site.index].amax())
        if site.kind == "neuron":
            mlp = follow(layer, self.network.sites.mlp)
            weight = largest_weights(follow(mlp, self.network.sites.neuron_mix))
            if isinstance(site.index, tuple):
                weight = weight[list(site.index)]
            return float(weight.amax())
        return 1.0
