"""Mean activations of every site, and what components cost together, by gradients on a path."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import nnsight
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from harness.activations.swept import PathScores
from harness.adapter.architectures import follow
from harness.adapter.attention import fused_attention
from harness.adapter.clean import Network, run_clean
from harness.adapter.editing import mix_of
from harness.adapter.encoding import Batch, tokens_in
from harness.adapter.overflow import remedy
from harness.adapter.scoring import at_answers
from harness.adapter.targets import targets_of
from harness.interventions.edits import Reference
from harness.materials.items import Item
from harness.models.specs import ModelError

AttributedKind = Literal["head", "neuron"]
STORE_OF: dict[AttributedKind, str] = {"head": "z", "neuron": "neurons"}
MEASURED = ("z", "attn", "neurons", "mlp")  # tensors of `editing.STORES`


class Means:
    """Sums over real tokens, batch by batch, in double precision."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.tokens: Counter[int] = Counter()  # of each layer
        self.sums: dict[tuple[str, int], Tensor] = {}

    @torch.no_grad()
    def measure(self, batch: Batch) -> None:
        """Add a batch's tokens."""
        layers = range(self.network.layers)
        wanted = {(store, layer) for store in (*MEASURED, "resid") for layer in layers}
        with fused_attention(self.network.module):
            clean = run_clean(self.network, batch, wanted | {("resid", -1)}, whole=True)
        for at, values in clean.stores.items():
            real = tokens_in(batch, self.network.sites, at[1])
            total = values[real.to(values.device)].double().sum(0)
            self.sums[at] = self.sums[at] + total if at in self.sums else total
        for layer in (-1, *layers):
            self.tokens[layer] += int(tokens_in(batch, self.network.sites, layer).sum())

    def result(self) -> Reference:
        """The means.

        Raises:
            ModelError: If a mean is not finite.
        """
        for (store, layer), total in self.sums.items():
            if not bool(torch.isfinite(total).all()):
                what = f"the mean of {store} of layer {layer} is not finite"
                raise ModelError(f"{what}: {remedy(self.network.dtype)}.")
        z = self._stack("z")
        return Reference(
            resid=self._stack("resid", -1),
            z=z.reshape(len(z), self.network.heads, -1),
            attn_out=self._stack("attn"),
            neurons=self._stack("neurons"),
            mlp_out=self._stack("mlp"),
        )

    def _stack(self, store: str, start: int = 0) -> Float[Tensor, "layer values"]:
        layers = range(start, self.network.layers)
        device = self.network.device
        means = [(self.sums[store, n] / self.tokens[n]).float().to(device) for n in layers]
        return torch.stack(means)


class PathAttribution:
    """Gradient with respect to the share left of each component, averaged over a path of shares.

    Every component c of every layer becomes mean + left_c (activation - mean): 1 is the intact
    model, 0 the mean ablation. The gradient by `left` is taken with all of them at 1/steps, 2/steps
    ... 1; activations are those that follow from the partly ablated layers below.
    """

    def __init__(
        self,
        network: Network,
        items: Sequence[Item],
        reference: Reference,
        kind: AttributedKind,
        steps: int,
    ) -> None:
        self.network, self.store, self.steps = network, STORE_OF[kind], steps
        self.means = {"z": reference.z.flatten(1), "neurons": reference.neurons}[self.store]
        self.width = {"z": network.heads, "neurons": network.neurons}[self.store]
        ids = network.encoder.ids(items)
        self.targets = targets_of(network.encoder, items, ids, network.device)
        self.scores = np.full((len(items), network.layers, self.width), np.nan, np.float32)

    def measure(self, batch: Batch) -> None:
        """Fill the rows of a batch: one forward and one backward pass a step."""
        with fused_attention(self.network.module):
            self._measure(batch)

    def _measure(self, batch: Batch) -> None:
        targets = self.targets.of(batch.rows)
        scorable = targets.scorable
        if not bool(scorable.any()):
            return
        total = torch.zeros(len(batch.rows), self.network.layers, self.width)
        for step in range(1, self.steps + 1):
            left = [
                torch.full((len(batch.rows), 1, self.width, 1), step / self.steps).requires_grad_()
                for _ in range(self.network.layers)
            ]
            answered = targets.difference(self._forward(batch, left))[scorable].sum()
            if not bool(torch.isfinite(answered)):
                raise ModelError(
                    f"logits are not finite with {step}/{self.steps} of every {self.store} left: "
                    f"{remedy(self.network.dtype)}."
                )
            gradients = torch.autograd.grad(answered, left)
            total += torch.stack([g[:, 0, :, 0] for g in gradients], 1) / self.steps
        kept = np.array(batch.rows)[scorable.cpu().numpy()]
        self.scores[kept] = total[scorable.cpu()].numpy()

    def _forward(self, batch: Batch, left: Sequence[Tensor]) -> Float[Tensor, "prompt d_vocab"]:
        """Last logits with this share left of each layer's components."""
        network = self.network
        inputs = {**batch.inputs, "use_cache": False, "logits_to_keep": 1}
        with torch.enable_grad(), network.engine.trace(**inputs) as tracer:
            for number, layer in enumerate(follow(network.engine, network.sites.layers)):
                mix = mix_of(layer, network.sites, self.store)
                mix.input = self._weakened(mix.input, left[number], self.means[number])
            logits = nnsight.save(tracer.result.logits)
        found: Tensor = at_answers(logits, batch).float().to(batch.ids.device)
        return found

    def _weakened(self, values: Tensor, left: Tensor, mean: Tensor) -> Tensor:
        mean = mean.to(values.device)
        away = (values.float() - mean).reshape(*values.shape[:-1], self.width, -1)
        weakened: Tensor = (left.to(values.device) * away).reshape(values.shape) + mean
        return weakened.to(values.dtype)

    def result(self) -> PathScores:
        """The table."""
        return PathScores(self.scores, self.targets.scorable.cpu().numpy())
