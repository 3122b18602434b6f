"""Modules that compute what a model's own compute, with the parts in the open that are measured.

In a mixture of experts the router sends each token to a few of many MLPs. Here they are one wide
MLP: a neuron belongs to one expert, and is 0 at a token that is not sent there. Its value is its
activation times the weight that the router gives its expert, so that one matrix takes all neurons
to the residual stream, and the sum over neurons is the experts' output.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from harness.adapter.encoder_decoders import T5_KINDS, OneStream
from harness.adapter.encoders import is_encoder, take_decoders_arguments


def opened(module: PreTrainedModel) -> PreTrainedModel:
    """The model with its parts in the open; the modules that hide them are exchanged in place."""
    if module.config.model_type in T5_KINDS:
        return OneStream(module)
    if is_encoder(module.config):
        take_decoders_arguments(module)
    for path, part in list(module.named_modules()):
        experts = getattr(part, "experts", None)
        if isinstance(getattr(experts, "down_proj", None), nn.Parameter):
            module.set_submodule(path, OpenMixture(part))
    if module.config.model_type == "opt":
        for layer in module.model.decoder.layers:
            _keep_positions(layer)
    return module


class OpenMixture(nn.Module):
    """A mixture of experts whose neurons can be read and changed.

    Attributes:
        block: The model's own: its router, experts that always run, and all that it adds.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        block.experts = OpenExperts(block.experts)  # type: ignore[arg-type]
        self.block = block

    def forward(self, hidden: Float[Tensor, "batch pos d_model"]) -> Any:
        """What the block gives."""
        self.block.experts.shape = hidden.shape[:2]
        return self.block(hidden)


class OpenExperts(nn.Module):
    """The experts as one MLP; its neurons are those of expert 0, then of expert 1, and so on.

    Attributes:
        gate_proj: Gives every neuron's gate before its activation, 0 where a token is not sent.
        down_proj: From the neurons to the experts' output, without the experts' biases.
        shape: Prompts and positions of the tokens that come in.
    """

    def __init__(self, experts: Any) -> None:
        super().__init__()
        self.experts = experts
        self.gate_proj = nn.Identity()
        self.down_proj = DownProjection(experts)
        self.shape = torch.Size()

    def forward(
        self,
        hidden: Float[Tensor, "token d_model"],
        chosen: Int[Tensor, "token choice"],
        weights: Float[Tensor, "token choice"],
    ) -> Float[Tensor, "token d_model"]:
        """The weighted sum of the chosen experts' outputs."""
        own, count = self.experts, len(self.experts.down_proj)
        share = weights.new_zeros(len(hidden), count).scatter_add(1, chosen, weights).to(hidden)
        gates, neurons = [], []
        for expert in range(count):
            both = self._joined(hidden, expert)
            sent = (chosen == expert).any(1)[:, None]
            gates.append(self._gate(both).where(sent, 0))
            neurons.append((own._apply_gate(both) * share[:, expert, None]).where(sent, 0))
        self.gate_proj(torch.cat(gates, 1).view(*self.shape, -1))
        mixed: Tensor = self.down_proj(torch.cat(neurons, 1).view(*self.shape, -1)).flatten(0, 1)
        return mixed + share @ own.down_proj_bias if own.has_bias else mixed

    def _joined(self, hidden: Tensor, expert: int) -> Tensor:
        """An expert's gate and up-projection, in one matrix."""
        weight = self.experts.gate_up_proj[expert]
        joined: Tensor = hidden @ (weight if self.experts.is_transposed else weight.T)
        return joined + self.experts.gate_up_proj_bias[expert] if self.experts.has_bias else joined

    def _gate(self, joined: Tensor) -> Tensor:
        return joined.chunk(2, dim=-1)[0] if self.experts.is_concatenated else joined[..., ::2]


class DownProjection(nn.Module):
    """From all experts' neurons to their output."""

    bias = None

    def __init__(self, experts: Any) -> None:
        super().__init__()
        self.experts = [experts]  # in a list: its parameters are counted once, where they belong

    @property
    def weight(self) -> Float[Tensor, "d_model neuron"]:
        """As one matrix: a copy of the experts' matrices, side by side."""
        (own,) = self.experts
        side_by_side: Tensor = own.down_proj if own.is_transposed else own.down_proj.mT
        return side_by_side.flatten(0, 1).T

    def forward(self, neurons: Float[Tensor, "batch pos neuron"]) -> Float[Tensor, "batch pos d"]:
        """The sum over neurons."""
        return neurons @ self.weight.T


def _keep_positions(layer: nn.Module) -> None:
    """Let an MLP see prompts and positions where its layer makes one row of all tokens."""
    into, out = Unflattened(layer.fc1), Flattened(layer.fc2)  # type: ignore[arg-type]
    layer.fc1, layer.fc2 = into, out

    def see(_layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        hidden = given[0] if given else named["hidden_states"]
        into.shape = hidden.shape[:2]

    layer.register_forward_pre_hook(see, with_kwargs=True)


class Unflattened(nn.Module):
    """A projection of all tokens in one row, with prompts and positions from here on."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.shape = inner, torch.Size()

    def forward(self, tokens: Float[Tensor, "token d"]) -> Float[Tensor, "batch pos neuron"]:
        """The projection."""
        projected: Tensor = self.inner(tokens.view(*self.shape, -1))
        return projected


class Flattened(nn.Module):
    """A projection whose output is all tokens in one row."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, values: Float[Tensor, "batch pos neuron"]) -> Float[Tensor, "token d"]:
        """The projection."""
        projected: Tensor = self.inner(values)
        return projected.flatten(0, 1)
