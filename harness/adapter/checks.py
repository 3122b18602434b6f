"""The self-check at load time: hooked values are those the model computes, in every layer."""

from collections.abc import Mapping
from dataclasses import dataclass

import nnsight
import numpy as np
import torch
from jaxtyping import Bool, Float
from nnsight import TransformersModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from harness.adapter.answers import own_logits
from harness.adapter.architectures import Sites, first, follow, mix_weight, whole_pattern
from harness.adapter.attention import fused_attention
from harness.adapter.clean import Network
from harness.adapter.encoder_decoders import OneStream
from harness.adapter.encoding import Batch, Encoder, tokens_in
from harness.adapter.prefix_sharing import separate_trees, shared_prefix_trees
from harness.materials.items import Item

PROBE_TEXTS = (
    "Question: what is the capital of France? The answer is",
    "Rome is",
)  # unequal lengths
EDITED = ("z", "attn_out", "neurons", "mlp_out", "resid_post")


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Errors of the instrument on this model; arrays have one number for each layer.

    An error is the largest absolute difference divided by the largest absolute expected value, so
    that one bound fits every scale: about 1e-6 in float32, 1e-2 in bfloat16.

    Attributes:
        resid_sum: A layer's input, with what attention and MLP add, against its output.
        head_sum: Heads' outputs, summed, against the attention's output.
        neuron_sum: Neurons times the down-projection against the MLP's output.
        pattern_sum: Largest distance of an attention row's sum from one.
        padded: Residual stream of a prompt in a padded batch against the prompt alone.
        shared: The same for two prompts in one tree; None if this model never shares prefixes.
        hooked: Logits of the traced model against those of the model without hooks.
        foreign_ends: How many of the texts end in a token that is not their own.
        zeroed: For each site, how far zeroing it moves the last logits, relative to the largest:
            0 would mean that edits there do nothing.
    """

    resid_sum: Float[np.ndarray, " layer"]
    head_sum: Float[np.ndarray, " layer"]
    neuron_sum: Float[np.ndarray, " layer"]
    pattern_sum: Float[np.ndarray, " layer"]
    padded: Float[np.ndarray, " layer"]
    shared: Float[np.ndarray, " layer"] | None
    hooked: float
    foreign_ends: int
    zeroed: Mapping[str, Float[np.ndarray, " layer"]]

    def worst(self) -> dict[str, float]:
        """The largest error of each check, and the smallest effect of zeroing (`zeroed`)."""
        names = ("resid_sum", "head_sum", "neuron_sum", "pattern_sum", "padded", "shared")
        errors = {name: getattr(self, name) for name in names}
        return {
            **{name: float(values.max()) for name, values in errors.items() if values is not None},
            "hooked": self.hooked,
            "foreign_ends": self.foreign_ends,
            "zeroed": min(float(values.min()) for values in self.zeroed.values()),
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """The sites of a layer, from one trace."""

    z: Tensor
    head_mix: Tensor
    pattern: Tensor | None
    neurons: Tensor
    neuron_mix: Tensor
    parts: Tensor
    resid: Tensor


def self_check(network: Network, shared: Float[np.ndarray, " layer"] | None) -> SelfCheck:
    """Run all checks on two short prompts; three traces and one plain forward.

    Args:
        network: The model.
        shared: The errors of `prefix_check`; None if this model never shares prefixes.
    """
    engine, sites, encoder, device = network.engine, network.sites, network.encoder, network.device
    ids = _ids(encoder)
    both = encoder.batch(ids, (0, 1), device)
    seen, logits = _observe(engine, sites, both)
    alone, _ = _observe(engine, sites, encoder.batch(ids, (1,), device))
    plain = _plain_logits(engine._module, both)
    layers = list(follow(engine._module, sites.layers))
    length = len(ids[1])
    return SelfCheck(
        resid_sum=_numbers([_error(x.parts, x.resid) for x in seen]),
        head_sum=_numbers(
            [_head_error(network, x, layer) for x, layer in zip(seen, layers, strict=True)]
        ),
        neuron_sum=_numbers(
            [_neuron_error(sites, x, layer) for x, layer in zip(seen, layers, strict=True)]
        ),
        pattern_sum=_numbers(
            [_pattern_error(x.pattern, tokens_in(both, sites, n)) for n, x in enumerate(seen)]
        ),
        padded=_numbers(
            [_error(x.resid[1, -length:], y.resid[0]) for x, y in zip(seen, alone, strict=True)]
        ),
        shared=shared,
        hooked=_error(logits[:, -1], plain),
        foreign_ends=_foreign_ends(encoder),
        zeroed=_zeroed(engine, sites, encoder.batch(ids, (0,), device)),
    )


@dataclass(frozen=True, slots=True)
class PrefixCheck:
    """How far two prompts with a shared prefix are, in one tree, from their values apart.

    Attributes:
        error: Of the residual stream, as all errors of `SelfCheck`.
        parted: The largest error after the shared prefix, relative to the token's own largest
            value, so that a huge activation elsewhere cannot hide it.
    """

    error: Float[np.ndarray, " layer"]
    parted: float


def prefix_check(network: Network) -> PrefixCheck:
    """Run two prompts in one tree, and apart, with the attention that gives patterns and without.

    Both, because each has a way of its own to read the mask: torch's fused attention on a CPU takes
    a mask of single precision for one of double precision.
    """
    eager = _prefix_check(network)
    with fused_attention(network.module):
        fused = _prefix_check(network)
    parted = float(np.maximum(eager.parted, fused.parted))
    return PrefixCheck(np.maximum(eager.error, fused.error), parted)


def _prefix_check(network: Network) -> PrefixCheck:
    engine, sites, encoder, device = network.engine, network.sites, network.encoder, network.device
    text = _ids(encoder)[0]
    ids = [[*text, *text], [*text, *text[::-1]]]
    tree = encoder.batch_of(shared_prefix_trees(ids), device)
    together, _ = _observe(engine, sites, tree)
    apart, _ = _observe(engine, sites, encoder.batch_of(separate_trees(ids, tree.rows), device))
    errors, parted = [], []
    for one, other in zip(together, apart, strict=True):
        pairs = [
            (one.resid[at, path].float(), other.resid[row].float())
            for row, (at, path) in enumerate(zip(tree.tree.tolist(), tree.columns, strict=True))
        ]
        errors.append(float(np.max([_error(found, expected) for found, expected in pairs])))
        for found, expected in pairs:
            away, size = ((x.abs().amax(-1))[len(text) :] for x in (found - expected, expected))
            parted.append(float((away / size.clamp_min(1e-30)).max()))
    return PrefixCheck(_numbers(errors), float(np.max(parted)))  # not a number if any is not


def _ids(encoder: Encoder) -> list[list[int]]:
    return encoder.ids(_items())


@torch.no_grad()
def _plain_logits(module: PreTrainedModel, batch: Batch) -> Float[Tensor, "tree d_vocab"]:
    """Logits of the last column without hooks; of an encoder-decoder, by its own forward."""
    if isinstance(module, OneStream):
        return own_logits(module, batch)
    logits: Tensor = module(**batch.inputs, use_cache=False).logits
    return logits[:, -1]


def _foreign_ends(encoder: Encoder) -> int:
    """Probe texts whose last token is not that of the text alone, but one that was put there.

    None of an encoder's: it is trained with a token behind each text, which it reads as the rest.
    """
    if not encoder.causal:
        return 0
    texts = [encoder.text(item) for item in _items()]
    own = encoder.tokenizer(texts, add_special_tokens=False).input_ids
    return sum(ids[-1] != alone[-1] for ids, alone in zip(_ids(encoder), own, strict=True))


def _items() -> list[Item]:
    return [Item(id=text, task="check", prompt=text, pair=text) for text in PROBE_TEXTS]


@torch.no_grad()
def _observe(engine: TransformersModel, sites: Sites, batch: Batch) -> tuple[list[Seen], Tensor]:
    """Inputs and outputs of every layer's projections, and the logits, from one trace."""
    scale = getattr(engine._module.config, "residual_multiplier", 1.0)
    bare = list(follow(engine._module, sites.layers))
    with engine.trace(**batch.inputs, use_cache=False) as tracer:
        seen = nnsight.save([])
        for layer in follow(engine, sites.layers):
            attention, mlp = follow(layer, sites.attention), follow(layer, sites.mlp)
            mix, down = follow(attention, sites.head_mix), follow(mlp, sites.neuron_mix)
            parts = layer.input
            if sites.before:
                parts = parts + follow(layer, sites.before).output
            z, mixed = mix.input, mix.output
            before = sites.attn_out == f"{sites.attention}.{sites.head_mix}"
            parts = parts + scale * mixed if before else parts  # reads follow the execution
            pattern = whole_pattern(attention)
            if not before:
                added = first(follow(layer, sites.attn_out or sites.attention).output)
                parts = parts + scale * added
            if sites.norms:
                parts = normed(bare[len(seen)], sites.norms[0], parts)
            # Falcon adds the attention's output to the MLP's in place.
            neurons, summed = down.input, down.output.clone()
            parts = parts + scale * first(follow(layer, sites.mlp_out or sites.mlp).output)
            if sites.norms:
                parts = normed(bare[len(seen)], sites.norms[1], parts)
            seen.append(Seen(z, mixed, pattern, neurons, summed, parts, first(layer.output)))
        logits = nnsight.save(tracer.result.logits)
    return seen, logits


def normed(layer: nn.Module, norm: str, values: Tensor) -> Tensor:
    """The values through a layer norm of the layer, computed here: no hook sees it."""
    own = follow(layer, norm)
    return nn.functional.layer_norm(values, own.normalized_shape, own.weight, own.bias, own.eps)


def _head_error(network: Network, seen: Seen, layer: nn.Module) -> float:
    """Each head's z through its own slice of W_O, added up."""
    mix = follow(follow(layer, network.sites.attention), network.sites.head_mix)
    heads = network.heads
    z = seen.z.reshape(*seen.z.shape[:-1], heads, -1)
    weight = mix_weight(mix)
    weight = weight.reshape(len(weight), heads, -1)
    outputs = [z[..., h, :] @ weight[:, h].T for h in range(heads)]
    total = torch.stack(outputs).sum(0)
    return _error(total if mix.bias is None else total + mix.bias, seen.head_mix)


def _neuron_error(sites: Sites, seen: Seen, layer: nn.Module) -> float:
    mix = follow(follow(layer, sites.mlp), sites.neuron_mix)
    total = seen.neurons @ mix_weight(mix).T
    return _error(total if mix.bias is None else total + mix.bias, seen.neuron_mix)


def _pattern_error(pattern: Tensor | None, tokens: Bool[Tensor, "batch pos"]) -> float:
    """Largest distance of a row's sum from one, at these tokens; infinite without a pattern."""
    if pattern is None:
        return float("inf")
    sums = pattern.float().sum(-1).transpose(1, 2)[tokens.to(pattern.device)]
    return float((sums - 1).abs().max())


@torch.no_grad()
def _zeroed(engine: TransformersModel, sites: Sites, batch: Batch) -> dict[str, np.ndarray]:
    """Zero each site of each layer in a row of its own, all in one forward."""
    layers = list(follow(engine, sites.layers))
    count = len(layers) * len(EDITED) + 1  # the last row is not edited
    inputs = {name: value.expand(count, -1) for name, value in batch.inputs.items()}
    with engine.trace(**inputs, use_cache=False, logits_to_keep=1) as tracer:
        for number, layer in enumerate(follow(engine, sites.layers)):
            attention, mlp = follow(layer, sites.attention), follow(layer, sites.mlp)
            row = number * len(EDITED)
            follow(attention, sites.head_mix).input[row] = 0
            first(follow(layer, sites.attn_out or sites.attention).output)[row + 1] = 0
            follow(mlp, sites.neuron_mix).input[row + 2] = 0
            first(follow(layer, sites.mlp_out or sites.mlp).output)[row + 3] = 0
            first(layer.output)[row + 4] = 0
        logits = nnsight.save(tracer.result.logits)
    last = logits[:, -1].float()
    moved = (last[:-1] - last[-1]).abs().amax(-1) / last[-1].abs().max()
    table = moved.reshape(len(layers), len(EDITED)).cpu().numpy()
    return {site: table[:, column] for column, site in enumerate(EDITED)}


def _error(found: Tensor, expected: Tensor) -> float:
    expected = expected.float()
    return float((found.float() - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def _numbers(values: list[float]) -> Float[np.ndarray, " layer"]:
    return np.array(values, dtype=np.float64)
