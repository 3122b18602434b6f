"""Many edits of one model: stacked rows, resumed from the first layer that an edit changes.

A batch of prompts is run once as it is, keeping the residual stream and every layer's keys and
values. Each chunk of edit sets then runs only the layers from its first edited one, at the
positions from its first edited one, and in the last layer only the last token; all else is read
from the first run. Exact: what is left out could not have changed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import nnsight
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from nnsight import TransformersModel
from torch import Tensor
from transformers import DynamicCache

from harness.adapter.editing import STORES, Placed, Written, read_store, store_of, write
from harness.adapter.encoding import Batch, Encoder
from harness.adapter.loading import is_out_of_memory
from harness.adapter.places import Places
from harness.adapter.sites import Sites, first, follow, mix_weight
from harness.edits import Edit, EditError, EditSet, Run, Site
from harness.models import ModelError
from harness.prompts import Item
from harness.sweeps import SweepResult

Progress = Callable[[int], object]
Store = tuple[str, int]  # a tensor of `editing.STORES` and its layer; ("resid", -1): the embedding

WIDEST_STACK = 8  # times the prompts of a forward, where few positions are left to run
SHARED_COLUMNS = 0.8  # of a chunk's positions must be needed by an edit set that joins it
WORTH_REUSE = 0.1  # of the positions before the edit: fewer are run again
ROUNDING, VISIBLE = 1e-5, 1e-2  # of the residual stream: what may be rounding, what cannot be


@dataclass(frozen=True, slots=True)
class Network:
    """The model as the sweep needs it."""

    engine: TransformersModel
    sites: Sites
    encoder: Encoder
    layers: int
    heads: int
    neurons: int
    device: torch.device

    @property
    def window(self) -> int | None:
        """Tokens that a sliding-window layer sees, if there is one."""
        found: int | None = getattr(
            self.engine._module.config.get_text_config(), "sliding_window", None
        )
        return found


@dataclass(frozen=True, slots=True)
class Clean:
    """A batch run as it is.

    Attributes:
        resid: The embedding, then the residual stream after each layer [prompt pos d_model].
        cache: Keys and values of every layer.
        logits: Of the last token, float32.
        stores: Tensors that edits patch from.
    """

    resid: list[Tensor]
    cache: DynamicCache
    logits: Float[Tensor, "prompt d_vocab"]
    stores: dict[Store, Tensor]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Edit sets that run together.

    Attributes:
        sets: Their numbers.
        start: The first layer to run; the number of layers if none.
        column: The first position to run, in the padded batch.
    """

    sets: tuple[int, ...]
    start: int
    column: int


@dataclass(frozen=True, slots=True)
class Targets:
    """First tokens of the answers and distractors of some prompts; -1 where there is none."""

    answer: Int[Tensor, " prompt"]
    distractors: Int[Tensor, "prompt candidate"]

    @property
    def scorable(self) -> Bool[Tensor, " prompt"]:
        """Whether there is an answer and a distractor that begins with another token."""
        return (self.answer >= 0) & (self.distractors >= 0).any(1)

    def log_probability(self, logits: Float[Tensor, "prompt d_vocab"]) -> Tensor:
        """Of the answer, nats; not a number without one."""
        found = logits.gather(1, self.answer.clamp_min(0)[:, None])[:, 0] - logits.logsumexp(1)
        return torch.where(self.answer >= 0, found, torch.nan)

    def difference(self, logits: Float[Tensor, "prompt d_vocab"]) -> Tensor:
        """Answer minus best distractor; not a number where not scorable."""
        right = logits.gather(1, self.answer.clamp_min(0)[:, None])[:, 0]
        wrong = logits.gather(1, self.distractors.clamp_min(0))
        wrong = wrong.masked_fill(self.distractors < 0, -torch.inf).amax(1)
        return torch.where(self.scorable, right - wrong, torch.nan)

    def of(self, rows: Sequence[int]) -> "Targets":
        """Those of some prompts."""
        return Targets(self.answer[list(rows)], self.distractors[list(rows)])


def targets_of(
    encoder: Encoder, items: Sequence[Item], ids: Sequence[Sequence[int]], device: torch.device
) -> Targets:
    """First tokens as they stand after each prompt."""
    words = [(item.answer, *item.distractors) if item.answer else () for item in items]
    tokens = [[c[0] for c in row if c] for row in encoder.continuations(items, ids, words)]
    others = [sorted({t for t in row[1:] if t != row[0]}) for row in tokens]
    width = max([1, *map(len, others)])
    return Targets(
        torch.tensor([row[0] if row else -1 for row in tokens], device=device),
        torch.tensor([[*row, *[-1] * (width - len(row))] for row in others], device=device),
    )


class Sweep:
    """A sweep under way: `measure` takes batches in any order, `result` reads the table."""

    def __init__(
        self,
        network: Network,
        items: Sequence[Item],
        edit_sets: Sequence[EditSet],
        donors: Sequence[Item] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.network, self.items, self.progress = network, items, progress
        self.sets = [tuple(edits) for edits in edit_sets]
        edits = [edit for edits in self.sets for edit in edits]
        for edit in edits:
            _refuse_outside(edit.site, network)
        self.ids = network.encoder.ids(items)
        self.places = Places(network.encoder, items, self.ids)
        self.targets = targets_of(network.encoder, items, self.ids, network.device)
        self.needed: dict[Run, set[Store]] = {run: set() for run in Run}
        for edit in edits:
            if edit.run is not None:
                self.needed[edit.run].add(store_at(edit.site))
        self.other_ids = self._other_prompts(donors)
        shape = (len(self.sets), len(items))
        self.applicable = np.ones(shape, dtype=bool)
        self.table = np.full((3, *shape), np.nan, np.float32)
        self.clean = np.full((3, len(items)), np.nan, np.float32)
        self.done = np.zeros(shape, dtype=bool)
        self.stack = WIDEST_STACK * 1024  # edit sets a forward, halved when memory runs out
        # For each edit that must not be idle: whether it could, and did, change anything.
        self.could: dict[Edit, bool] = {}
        self.did: dict[Edit, bool] = {}

    def _other_prompts(self, donors: Sequence[Item] | None) -> dict[Run, list[list[int]]]:
        """Token ids of the prompts that edits patch from, one an item."""
        found: dict[Run, list[list[int]]] = {}
        if self.needed[Run.DONOR]:
            if donors is None or len(donors) != len(self.items):
                raise EditError(
                    "resample ablation needs one donor for each item: pass donors, "
                    f"{len(self.items)} of them."
                )
            found[Run.DONOR] = self.network.encoder.ids(donors)
        if self.needed[Run.COUNTERFACTUAL]:
            found[Run.COUNTERFACTUAL] = self._counterfactual_ids()
        return found

    def _counterfactual_ids(self) -> list[list[int]]:
        """Where there is none of the same length, the item's own, which will not be measured."""
        encoded = self.network.encoder.ids(
            [replace(i, prompt=i.counterfactual_prompt or i.prompt) for i in self.items]
        )
        self.comparable = np.array(
            [
                bool(item.counterfactual_prompt) and len(own) == len(other)
                for item, own, other in zip(self.items, self.ids, encoded, strict=True)
            ]
        )
        return [
            other if same else own
            for own, other, same in zip(self.ids, encoded, self.comparable, strict=True)
        ]

    @torch.no_grad()
    def measure(self, batch: Batch, rows: int) -> None:
        """Fill the table's columns of one batch; a forward takes about `rows` rows."""
        here = list(batch.rows)
        placed = self._place(batch)
        clean = run_clean(self.network, batch, self.needed[Run.OWN])
        targets = self.targets.of(here)
        self.clean[:, here] = _scores(clean.logits, targets)
        _refuse_non_finite(clean.logits, "the intact model", [self.items[i].id for i in here])
        others = self._other_stores(batch, clean)
        placed = [[_patched(p, others, batch) for p in edits] for edits in placed]
        pending = self._chunks(placed, batch, rows)
        while pending:
            chunk = pending.pop(0)
            if len(chunk.sets) > self.stack:
                pending[:0] = _halves(chunk)
                continue
            try:
                logits = self._run(chunk, placed, batch, clean)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(chunk.sets) == 1:
                    raise
                self.stack = len(chunk.sets) // 2
                if batch.ids.device.type == "cuda":
                    torch.cuda.empty_cache()
                pending.insert(0, chunk)
                continue
            self._keep(chunk.sets, here, logits, targets)
        idle = [n for n, edits in enumerate(self.sets) if not edits]
        self._keep(idle, here, clean.logits.repeat(len(idle), 1), targets)
        self._report(range(len(self.sets)), here)

    def _place(self, batch: Batch) -> list[list[Placed]]:
        """Each edit's positions in the batch; marks prompts that a set does not apply to."""
        known: dict[Any, Bool[Tensor, "prompt pos"]] = {}

        def mask(positions: Any) -> Bool[Tensor, "prompt pos"]:
            if positions not in known:
                found = np.zeros(batch.ids.shape, dtype=bool)
                tokens = self.places.of(positions)
                for place, row in enumerate(batch.rows):
                    found[place, found.shape[1] - len(tokens[row]) :] = tokens[row]
                known[positions] = torch.from_numpy(found)
            return known[positions]

        result = []
        here = list(batch.rows)
        for number, edits in enumerate(self.sets):
            row = []
            for edit in edits:
                chosen = mask(edit.positions)
                applies = chosen.any(1).numpy()
                if edit.run is Run.COUNTERFACTUAL:
                    applies = applies & self.comparable[here]
                self.applicable[number, here] &= applies
                keys = mask(edit.keys).to(batch.ids.device) if edit.site.kind == "pattern" else None
                row.append(_placed(edit, chosen, keys))
            result.append(row)
        return result

    def _other_stores(self, batch: Batch, clean: Clean) -> dict[Run, tuple[Clean, Tensor]]:
        """The runs that edits patch from, aligned with the batch, and where they have tokens."""
        found = {Run.OWN: (clean, batch.mask.bool())} if self.needed[Run.OWN] else {}
        for run, ids in self.other_ids.items():
            other = self.network.encoder.batch(ids, batch.rows, batch.ids.device)
            seen = run_clean(self.network, other, self.needed[run])
            width = batch.ids.shape[1]
            stores = {at: _align(store, width) for at, store in seen.stores.items()}
            there = _align(other.mask, width).bool()
            found[run] = (Clean([], seen.cache, seen.logits, stores), there)
        return found

    def _chunks(self, placed: list[list[Placed]], batch: Batch, rows: int) -> list[Chunk]:
        """Edit sets by first edited layer and position, as many together as a forward takes."""
        prompts, width = batch.ids.shape
        reuse = self.network.window is None or self.network.window >= width
        here = list(batch.rows)
        wanted = []
        for number, edits in enumerate(placed):
            left = self.applicable[number, here] & ~self.done[number, here]
            if not edits or not left.any():
                continue
            start = min(first_layer(p.edit.site) for p in edits)
            column = min(self._first_column(p) for p in edits) if reuse else 0
            wanted.append((start, 0 if column < WORTH_REUSE * width else column, number))
        chunks: list[Chunk] = []
        for start, column, number in sorted(wanted):
            last = chunks[-1] if chunks else None
            if last is not None and last.start == start:
                run = width - last.column
                fits = max(1, rows // prompts) * min(WIDEST_STACK, max(1, width // run))
                if len(last.sets) < fits and width - column >= SHARED_COLUMNS * run:
                    chunks[-1] = Chunk((*last.sets, number), start, last.column)
                    continue
            chunks.append(Chunk((number,), start, column))
        return chunks

    def _first_column(self, placed: Placed) -> int:
        """Before it, nothing differs from the clean run that the last logits depend on."""
        width = placed.mask.shape[1]
        if placed.edit.site.layer == self.network.layers - 1:
            return width - 1  # what the last layer does elsewhere is not read
        return min(placed.first, width - 1)

    def _run(
        self, chunk: Chunk, placed: list[list[Placed]], batch: Batch, clean: Clean
    ) -> Float[Tensor, "row d_vocab"]:
        """Logits of the chunk's rows; those that no edit touched are the clean ones to the bit."""
        forward = Forward(self.network, chunk, [placed[n] for n in chunk.sets], batch, clean)
        logits = forward.run()
        moved = torch.zeros(len(chunk.sets), len(batch.rows), dtype=torch.bool)
        if forward.written:
            values = torch.stack([w.moved.cpu() for w in forward.written])
            something = torch.stack([w.something.cpu() for w in forward.written]).tolist()
            for written, change, value in zip(forward.written, values, something, strict=True):
                moved[written.number] |= ~(change == 0)  # not a number counts as moved
                edit = written.placed.edit
                self.could[edit] = self.could.get(edit, False) or (value and not edit.may_be_idle)
                self.did[edit] = self.did.get(edit, False) or bool((~(change == 0)).any())
        untouched = ~moved.flatten().to(logits.device)
        whole = clean.logits.repeat(len(chunk.sets), 1)
        return torch.where(untouched[:, None], whole, logits)

    def _keep(self, sets: Sequence[int], here: list[int], logits: Tensor, targets: Targets) -> None:
        if not sets:
            return
        ids = [self.items[i].id for i in here]
        for number, part in zip(sets, logits.split(len(here)), strict=True):
            applies = self.applicable[number, here]
            name = " + ".join(map(str, self.sets[number])) or "no edit"
            _refuse_non_finite(part[torch.from_numpy(applies).to(part.device)], name,
                               [i for i, a in zip(ids, applies, strict=True) if a])
            self.table[:, number, here] = np.where(applies, _scores(part, targets), np.nan)
        self._report(sets, here)

    def _report(self, sets: Sequence[int], here: list[int]) -> None:
        """Tell how many cells are new; prompts that a set does not apply to are done at once."""
        cells = np.ix_(list(sets), here)
        new = int((~self.done[cells]).sum())
        self.done[cells] = True
        if self.progress is not None and new:
            self.progress(new)

    def result(self) -> SweepResult:
        """The table.

        Raises:
            EditError: If an edit changed nothing on any prompt, though it should have, or a set
                applies to no prompt at all.
        """
        for edit, could in self.could.items():
            if could and not self.did[edit]:
                raise EditError(
                    f"{edit} changed nothing on any prompt: its function returned the values it "
                    "was given (was the result written to a copy?)."
                )
        for edits, applies in zip(self.sets, self.applicable, strict=True):
            if len(self.items) and not applies.any():
                raise EditError(
                    f"{' + '.join(map(str, edits))} applies to none of the prompts: they lack its "
                    "positions, or a counterfactual of the same number of tokens."
                )
        return SweepResult(
            *self.table, *self.clean, self.targets.scorable.cpu().numpy(), self.applicable
        )


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
        with network.engine.trace(**self._inputs(), logits_to_keep=1) as tracer:
            for number, layer in enumerate(follow(network.engine, network.sites.layers)):
                if number < start:
                    layer.skip(entering)
                else:
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
            # Of layers that are skipped only the length is read.
            times = count if number >= self.chunk.start else 1
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

    def _edit_layer(self, layer: Any, number: int) -> None:
        """All edits of a layer; in the last one, only the last token is carried on."""
        network = self.network
        narrow = number == network.layers - 1 and self.columns > 1
        if number == 0 and ("resid", -1) in self.edits:
            self._write(layer.input, ("resid", -1))
        for store in STORES:
            at = (store, number)
            if narrow and store == "z":
                mix = follow(follow(layer, network.sites.attention), network.sites.head_mix)
                last = mix.input[:, -1:].clone()
                self._write(last, at)
                mix.input = last
                continue
            if narrow and store == "neurons":
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
        after = self.after.float().unflatten(0, shape)
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
                weight = weight.unflatten(1, (self.network.heads, -1))[:, site.index]
            values = 1.0 if self.mixed is None or site.kind == "head" else float(self.mixed)
            return float(weight.abs().amax()) * values
        if site.kind == "neuron":
            mlp = follow(layer, self.network.sites.mlp)
            weight = mix_weight(follow(mlp, self.network.sites.neuron_mix))
            if isinstance(site.index, tuple):
                weight = weight[:, list(site.index)]
            return float(weight.abs().amax())
        return 1.0


def run_clean(network: Network, batch: Batch, wanted: set[Store]) -> Clean:
    """Run a batch as it is, keeping the residual stream, keys and values, and `wanted`."""
    inputs = {**batch.inputs, "use_cache": True, "past_key_values": DynamicCache()}
    with network.engine.trace(**inputs, logits_to_keep=1) as tracer:
        resid = nnsight.save([])
        stores = nnsight.save({})
        for number, layer in enumerate(follow(network.engine, network.sites.layers)):
            if number == 0:
                resid.append(layer.input.clone())
            for store in STORES[:-1]:
                if (store, number) in wanted:
                    stores[store, number] = read_store(layer, network.sites, store).clone()
            resid.append(first(layer.output))
        output = nnsight.save(tracer.result)
    for store, number in wanted:
        if store == "resid":
            stores["resid", number] = resid[number + 1]
    logits = output.logits[:, -1].float().to(batch.ids.device)
    return Clean(resid, output.past_key_values, logits, stores)


def first_layer(site: Site) -> int:
    """The first layer that computes something else because of an edit at the site."""
    return site.layer + 1 if site.kind == "resid" else site.layer


def store_at(site: Site) -> Store:
    """The tensor that holds the site."""
    return store_of(site.kind), site.layer


def _placed(
    edit: Edit, mask: Bool[Tensor, "prompt pos"], keys: Bool[Tensor, "prompt pos"] | None
) -> Placed:
    columns = mask.any(0).nonzero()[:, 0].tolist()
    ends = (columns[0], columns[-1]) if columns else (mask.shape[1], -1)
    return Placed(edit, mask, *ends, None, keys)


def _patched(placed: Placed, others: dict[Run, tuple[Clean, Tensor]], batch: Batch) -> Placed:
    """The edit with the tensor it patches from, at positions that its run has."""
    if placed.edit.run is None:
        return placed
    run, there = others[placed.edit.run]
    moved = _placed(placed.edit, placed.mask & there.cpu(), placed.keys)
    store = run.stores[store_at(placed.edit.site)]
    assert batch.ids.shape[1] == store.shape[2 if placed.edit.site.kind == "pattern" else 1]
    return Placed(moved.edit, moved.mask, moved.first, moved.last, store, moved.keys)


def _align(values: Tensor, width: int) -> Tensor:
    """Cut or fill up with zeros on the left to `width` positions (a pattern: its square)."""
    if values.ndim == 4:
        return _square(values, width)
    spare = width - values.shape[1]
    if spare <= 0:
        return values[:, -spare:]
    return torch.cat([values.new_zeros(len(values), spare, *values.shape[2:]), values], dim=1)


def _square(pattern: Tensor, width: int) -> Tensor:
    spare = width - pattern.shape[-1]
    return torch.nn.functional.pad(pattern, (spare, 0, spare, 0))


def _halves(chunk: Chunk) -> Iterator[Chunk]:
    middle = len(chunk.sets) // 2
    yield Chunk(chunk.sets[:middle], chunk.start, chunk.column)
    yield Chunk(chunk.sets[middle:], chunk.start, chunk.column)


def _scores(logits: Tensor, targets: Targets) -> Float[np.ndarray, "measure prompt"]:
    """Log-probability, logit difference and whether the answer is chosen."""
    difference = targets.difference(logits)
    chosen = torch.where(targets.scorable, (difference > 0).float(), torch.nan)
    measures = torch.stack([targets.log_probability(logits), difference, chosen])
    found: np.ndarray = measures.cpu().numpy()
    return found


def _refuse_non_finite(logits: Tensor, name: str, ids: Sequence[str]) -> None:
    finite = torch.isfinite(logits).all(1)
    if not bool(finite.all()):
        where = ids[int((~finite).nonzero()[0])]
        raise ModelError(
            f"logits are not finite under {name} on prompt {where!r}: try --dtype float32; if it "
            "stays, the weights are damaged or the edit is too large."
        )


def _refuse_outside(site: Site, network: Network) -> None:
    numbers = site.index if isinstance(site.index, tuple) else (site.index or 0,)
    limit = {"neuron": network.neurons}.get(site.kind, network.heads)
    if site.layer >= network.layers or not all(0 <= n < limit for n in numbers):
        raise EditError(
            f"there is no site {site}: the model has {network.layers} layers of {network.heads} "
            f"heads and {network.neurons} neurons."
        )
