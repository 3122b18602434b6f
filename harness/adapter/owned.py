"""Which parameters belong to heads and neurons: rows and columns of projections."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.adapter.architectures import Tree, follow
from harness.adapter.attribution import AttributedKind
from harness.adapter.clean import Network
from harness.adapter.division import is_divided

Members = Sequence[tuple[int, int]]  # components by layer and number there


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows or columns of a parameter; all of it where there are no numbers."""

    parameter: nn.Parameter
    axis: int = 0
    numbers: Tensor | None = None

    def of(self, values: Tensor) -> Tensor:
        """The part of a tensor of the parameter's shape."""
        return values if self.numbers is None else values.index_select(self.axis, self.numbers)

    def add(self, values: Tensor, times: float) -> None:
        """Change the parameter here, in place."""
        if self.numbers is None:
            self.parameter.data.add_(values, alpha=times)
        else:
            self.parameter.data.index_add_(self.axis, self.numbers, values, alpha=times)


def untunable(network: Network, kind: AttributedKind) -> str:
    """Why the components' parameters cannot be tuned, as a clause; empty if they can."""
    module = network.module
    if is_divided(module):
        return "the weights are divided over several processes (--tensor-parallel)"
    if any(p.device.type == "meta" for p in module.parameters()):
        return "some of the weights are not in memory (--device-map)"
    if network.dtype != torch.float32:
        dtype = str(network.dtype).removeprefix("torch.")
        return f"a step is smaller than {dtype} weights can hold (--dtype float32)"
    for layer in follow(module, network.sites.layers):
        if not _projections(layer, network, kind).into:
            return f"the {kind}s have no rows of their own in this architecture's projections"
    return ""


def parts_of(network: Network, kind: AttributedKind, members: Members) -> list[Part]:
    """The parameters that belong to some components alone, each once.

    Of a head its rows of the projections to queries, keys and values with their biases, and its
    columns of the output projection; keys and values that heads share belong to none of them. Of a
    neuron its rows of the projections into the MLP, and its column of the one out of it.
    """
    parts = []
    for number, layer in enumerate(follow(network.module, network.sites.layers)):
        own = torch.tensor(sorted(index for at, index in members if at == number))
        if not len(own):
            continue
        found = _projections(layer, network, kind)
        own = own.to(found.out.weight.device)
        rows = (own[:, None] * found.each + torch.arange(found.each, device=own.device)).flatten()
        parts.append(Part(found.out.weight, 1 - _outputs_axis(found.out), rows))
        for module in found.into:
            joined = _outputs(module) // (found.count * found.each)
            starts = [rows + part * found.count * found.each for part in range(joined)]
            parts.append(Part(module.weight, _outputs_axis(module), torch.cat(starts)))
            if module.bias is not None:
                parts.append(Part(module.bias, 0, torch.cat(starts)))
    return parts


def whole(network: Network) -> list[Part]:
    """Every parameter of the model."""
    return [Part(parameter) for parameter in network.module.parameters()]


@dataclass(frozen=True, slots=True)
class _Projections:
    """Of a layer: those into its components, and the one out of them.

    Attributes:
        count: Components.
        each: Rows or columns of a component.
    """

    into: list[Tree]
    out: Tree
    count: int
    each: int


def _projections(layer: Tree, network: Network, kind: AttributedKind) -> _Projections:
    sites = network.sites
    if kind == "head":
        host, count = follow(layer, sites.attention), network.heads
        out, joined = follow(host, sites.head_mix), 1
    else:
        host = follow(layer, sites.gate.rpartition(".")[0])
        out = follow(follow(layer, sites.mlp), sites.neuron_mix)
        count, joined = network.neurons, sites.gate_share
    if not _is_projection(out):
        return _Projections([], out, count, 1)
    inputs = out.weight.shape[1 - _outputs_axis(out)]
    into = [
        module
        for module in host.modules()
        if _is_projection(module)
        and module is not out
        and _outputs(module) in {inputs, joined * inputs}
    ]
    return _Projections(into, out, count, inputs // count)


def _is_projection(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _outputs_axis(module: Tree) -> int:
    """GPT-2's modules keep their weights transposed."""
    return 0 if isinstance(module, nn.Linear) else 1


def _outputs(module: Tree) -> int:
    return int(module.weight.shape[_outputs_axis(module)])


def length_of(tensors: Sequence[Tensor]) -> float:
    """Euclidean, of all of them together."""
    return math.sqrt(sum(float(values.double().square().sum()) for values in tensors))
