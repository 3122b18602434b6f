"""Where the parts of a model are, as dotted names, and how to reach them in a trace.

`harness.adapter.finding` finds the names in a loaded model.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from harness.adapter.division import Divided
from harness.models.specs import ModelError

LEAST_ROWS = 4  # of queries: a product of fewer is made, and rounded, in another way

# A torch module or nnsight's view of one: both lead to their children by name.
Tree = Any

# Inside most attentions: one call, which eager attention or a fused kernel answers.
ATTENTION_CALL = "source.attention_interface_1"


@dataclass(frozen=True, slots=True)
class Sites:
    """Dotted names of modules, each relative to another module.

    Attributes:
        layers: From the root, the list of layers.
        attention: From a layer; the second of its outputs is the pattern.
        head_mix: From the attention, the projection whose input is z.
        mlp: From a layer.
        gate: From a layer, the projection whose output is the gate before its activation.
        gate_share: The gate is the first 1/gate_share of that output (2 where the gate and the
            up-projection are one matrix).
        neuron_mix: From the MLP, the projection whose input is the neurons; '' for itself.
        attn_out: From a layer, what the residual receives from attention, if not the attention's
            own output (a norm may stand between).
        mlp_out: The same for the MLP.
        calls_interface: Whether attention is one call that can be made for some queries.
        attention_alone: Whether the attention's output is that of `head_mix` and nothing more.
        mlp_alone: The same of the MLP and `neuron_mix`.
        gives_tuple: Whether a layer gives a tuple, whose first value is the residual stream.
        trees: Whether tokens may be told what they attend to, so that prompts can share a prefix.
        causal: Whether tokens see only those before them.
        decoder: In an encoder-decoder, the first layer of the decoder (see `encoder_decoders`).
        before: From a layer, what the residual receives before attention, if it does.
        norms: From a layer, the norms that the residual itself goes through after attention and
            after the MLP, if it does.
    """

    layers: str = "model.layers"
    attention: str = "self_attn"
    head_mix: str = "o_proj"
    mlp: str = "mlp"
    gate: str = "mlp.gate_proj"
    gate_share: int = 1
    neuron_mix: str = "down_proj"
    attn_out: str = ""
    mlp_out: str = ""
    calls_interface: bool = True
    attention_alone: bool = True
    mlp_alone: bool = True
    gives_tuple: bool = False
    trees: bool = True
    causal: bool = True
    decoder: int | None = None
    before: str = ""
    norms: tuple[str, str] | None = None

    @property
    def narrows(self) -> bool:
        """Whether the MLP can run at some positions only: it is one module, fed by its input."""
        return self.mlp_alone and self.gate.startswith(f"{self.mlp}.")


@dataclass(frozen=True, slots=True)
class LayerReads:
    """What one layer computed, at every position.

    Attributes:
        layer: Its number.
        pattern: Attention weights [batch head query_pos key_pos], or some rows of them.
        gate: The MLP's gate before its activation [batch pos neuron].
        neurons: The neurons' activations [batch pos neuron].
        resid: The residual stream after the layer [batch pos d_model].
    """

    layer: int
    pattern: Tensor
    gate: Tensor
    neurons: Tensor
    resid: Tensor


def follow(root: Tree, path: str) -> Tree:
    """The module (or nnsight's view of it) at a dotted path; the root itself for ''."""
    return reduce(_child, path.split("."), root) if path else root


def _child(tree: Tree, name: str) -> Tree:
    """A child by name; nnsight gives BERT's `output` another, since it is what a module gives."""
    hidden = name == "output" and not isinstance(tree, nn.Module)
    return getattr(tree, "E_output" if hidden else name)


def first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """A module's output, or the first of its outputs."""
    return output[0] if isinstance(output, tuple) else output


def widened(output: Any, ends: Int[Tensor, " end"], columns: int) -> Any:
    """A module's output for some positions, at those positions among zeros."""
    values: Tensor = first(output)
    wide = values.new_zeros(len(values), columns, *values.shape[2:])
    wide.index_copy_(1, ends.to(values.device), values)
    return wide if isinstance(output, Tensor) else (wide, *output[1:])


def narrow_attention(layer: Tree, sites: Sites, ends: Int[Tensor, " end"]) -> None:
    """Let a layer's attention answer at some positions only; it gives zeros elsewhere.

    As it is where attention is not one call, or has no mask: a kernel that is given none takes the
    queries for those of the last positions.
    """
    if not sites.calls_interface:
        return
    call = follow(layer, f"{sites.attention}.{ATTENTION_CALL}")
    (module, query, key, value, mask), settings = call.inputs
    at = torch.unique(torch.cat([ends, torch.arange(LEAST_ROWS)])).to(query.device)
    if mask is not None and len(at) < query.shape[2]:
        call.inputs = (module, query[:, :, at], key, value, mask[:, :, at]), settings
        call.output = widened(call.output, at, query.shape[2])


def narrow_mlp(layer: Tree, sites: Sites, ends: Int[Tensor, " end"]) -> None:
    """The same of a layer's MLP; as it is where that is more than one module."""
    if not sites.mlp_alone:
        return
    mlp = follow(layer, sites.mlp)
    columns = mlp.input.shape[1]
    if len(ends) < columns:
        mlp.input = mlp.input[:, ends]
        mlp.output = widened(mlp.output, ends, columns)


def whole_pattern(attention: Tree) -> Tensor | None:
    """The weights [batch head query_pos key_pos] that an eager attention returns."""
    pattern: Tensor | None = attention.output[1]
    return None if pattern is None else on_tokens(attention, pattern)


def on_tokens(attention: Tree, pattern: Tensor) -> Tensor:
    """The weights as shares of what goes to tokens: a sink (GPT-OSS) takes a part of each row."""
    return pattern / pattern.sum(-1, keepdim=True) if hasattr(attention, "sinks") else pattern


def read_layers(
    root: Tree,
    sites: Sites,
    pattern_of: Callable[[Tree], Tensor | None] = whole_pattern,
    ends: Int[Tensor, " end"] | None = None,
) -> Iterator[LayerReads]:
    """Every layer's values, in the order of execution; to be called inside a trace.

    Args:
        root: The model.
        sites: Where its parts are.
        pattern_of: Reads the pattern of a layer's attention.
        ends: The positions that are wanted: the last layer runs there and adds 0 elsewhere.

    Raises:
        ModelError: If an attention returns no pattern.
    """
    layers = list(follow(root, sites.layers))
    for number, layer in enumerate(layers):
        attention, mlp = follow(layer, sites.attention), follow(layer, sites.mlp)
        pattern = pattern_of(attention)
        if pattern is None:
            raise ModelError(
                f"layer {number} gives no attention pattern: load with eager attention."
            )
        narrow = False
        if number == len(layers) - 1 and ends is not None:
            if pattern_of is not whole_pattern:  # which waits for the attention to be done
                narrow_attention(layer, sites, ends)
            if sites.narrows:
                width = mlp.input.shape[1]
                narrow = len(ends) < width
        if narrow:
            mlp.input = mlp.input[:, ends]
        gate = follow(layer, sites.gate).output
        if sites.gate_share > 1:
            gate = gate.chunk(sites.gate_share, dim=-1)[0]
        neurons = follow(mlp, sites.neuron_mix).input
        if narrow and ends is not None:
            gate, neurons = widened(gate, ends, width), widened(neurons, ends, width)
            mlp.output = widened(mlp.output, ends, width)
        yield LayerReads(number, pattern, gate, neurons, first(layer.output))


def mix_weight(module: nn.Module) -> Tensor:
    """A projection's weight as [out, in]; GPT-2's modules keep it transposed."""
    weight: Tensor = module.weight  # type: ignore[assignment]
    return weight.T if type(module).__name__ == "Conv1D" else weight


def mix_shape(module: nn.Module) -> tuple[int, int]:
    """The widths that a projection gives and takes."""
    if isinstance(module, Divided):
        return module.out_features, module.in_features
    given, taken = mix_weight(module).shape
    return given, taken


def largest_weights(module: nn.Module) -> Float[Tensor, " in"]:
    """The largest absolute weight of each input of a projection."""
    return module.largest if isinstance(module, Divided) else mix_weight(module).abs().amax(0)
