"""The logit lens: what the residual stream would say if the model ended after that layer.

Source: nostalgebraist 2020, "interpreting GPT: the logit lens". Differs: only the logits of some
words are made, and only their order is to be used, so that what a model does to all of its logits
afterwards (a scale, a soft cap) does not matter.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from harness.adapter.architectures import first, follow
from harness.adapter.model import Model
from harness.materials.items import Item
from harness.models.specs import ModelError

SAME_ORDER = 0.99  # rank correlation with the model's own logits, over the vocabulary
DIGITS = 4  # of a logit as a share of the largest: words that were never read are all alike


def lens(
    model: Model,
    items: Sequence[Item],
    resid: Float[np.ndarray, "prompt layer d_model"],
    words: Sequence[Sequence[str]],
) -> Float[np.ndarray, "prompt layer word"]:
    """Logits of the first token of words, read from the residual stream after each layer.

    Words that begin with the same token have the same logit.

    Args:
        model: The model.
        items: The prompts.
        resid: Of each prompt, after each layer, at one token.
        words: Of each prompt, as many of each, as they would stand after it.

    Raises:
        ModelError: If what follows the last layer does not give the model's own logits.
    """
    ended = _Ended(model, items[0])
    return ended.logits(torch.from_numpy(resid), _firsts(model, items, words)).cpu().numpy()


def unembedded(
    model: Model, items: Sequence[Item], words: Sequence[Sequence[str]]
) -> Float[np.ndarray, "prompt word d_model"]:
    """The unembedding of the first token of words, float32; arguments as in `lens`."""
    weight: Tensor = model.module.get_output_embeddings().weight
    rows = weight.detach()[_firsts(model, items, words).to(weight.device)]
    return rows.float().cpu().numpy()


def _firsts(model: Model, items: Sequence[Item], words: Sequence[Sequence[str]]) -> Tensor:
    """First tokens [prompt word]."""
    # Encoded after the prompt's last line alone: what stands before it does not change them.
    lines = [replace(item, prompt=item.prompt.rpartition("\n")[2], turns=()) for item in items]
    tokens = model.encoder.continuations(lines, model.encoder.ids(lines), words)
    return torch.tensor([[word[0] for word in row] for row in tokens])


class _Ended:
    """What follows the last layer, found from one run of the model, never from names alone."""

    def __init__(self, model: Model, item: Item) -> None:
        self.unembedding: nn.Module = model.module.get_output_embeddings()
        self.after: list[nn.Module] = []
        stream, logits = self._run(model, item)
        at = -1 - model.encoder.tail
        own, found = _ranks(logits[0, at]), _ranks(self._all(stream[:, at])[0])
        agreement = float(np.corrcoef(own, found)[0, 1])
        if not agreement >= SAME_ORDER:
            raise ModelError(
                f"{model.spec.name} cannot be read by the logit lens: what follows its last layer "
                f"orders words otherwise than the model does (rank correlation {agreement:.2f}, "
                f"needed {SAME_ORDER}); leave out claims on words in the stream."
            )

    @torch.no_grad()
    def logits(
        self, resid: Float[Tensor, "prompt layer d_model"], tokens: Tensor
    ) -> Float[Tensor, "prompt layer word"]:
        """The logits of some tokens of each prompt, float32."""
        weight: Tensor = self.unembedding.weight  # type: ignore[assignment]
        bias: Tensor | None = getattr(self.unembedding, "bias", None)
        ended = self._normed(resid.to(weight.device, weight.dtype)).float()
        tokens = tokens.to(weight.device)
        made = torch.einsum("pld,pwd->plw", ended, weight[tokens].float())
        return made if bias is None else made + bias[tokens].float()[:, None]

    def _normed(self, stream: Tensor) -> Tensor:
        for part in self.after:
            stream = part(stream)
        return stream

    @torch.no_grad()
    def _all(self, stream: Tensor) -> Tensor:
        logits: Tensor = self.unembedding(self._normed(stream))
        return logits

    @torch.no_grad()
    def _run(self, model: Model, item: Item) -> tuple[Tensor, Tensor]:
        """The stream after the last layer, and the model's logits; fills `after`.

        That is every module without parts that is called between the last layer and the
        unembedding: a norm, and in some models a projection.
        """
        last = follow(model.module, model.sites.layers)[-1]
        stream: list[Tensor] = []

        def ends(_module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            stream.append(first(output))

        def called(module: nn.Module, _inputs: object) -> None:
            if stream and module is not self.unembedding:
                self.after.append(module)

        leaves = [part for part in model.module.modules() if not [*part.children()]]
        hooks = [last.register_forward_hook(ends)]
        hooks += [leaf.register_forward_pre_hook(called) for leaf in leaves]
        try:
            batch = model.encoder.batch(model.encoder.ids([item]), [0], model.device)
            logits: Tensor = model.module(**batch.inputs, use_cache=False).logits
        finally:
            for hook in hooks:
                hook.remove()
        return stream[-1], logits


def _ranks(logits: Float[Tensor, " token"]) -> np.ndarray:
    """Ranks of the vocabulary; words whose logits differ by rounding alone share one."""
    values = logits.float().cpu().numpy()
    return np.unique(np.round(values / np.abs(values).max(), DIGITS), return_inverse=True)[1]
