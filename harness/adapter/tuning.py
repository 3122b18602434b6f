"""A few gradient steps on the parameters of some components, which are then put back exactly.

A step has a length and no learning rate: the chosen parameters move by that length against their
gradient. So every choice of parameters moves alike, and what differs is what that does.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from harness.adapter.architectures import Tree, follow
from harness.adapter.attention import fused_attention
from harness.adapter.attribution import AttributedKind
from harness.adapter.batching import Batcher
from harness.adapter.clean import Network
from harness.adapter.encoding import Batch
from harness.adapter.overflow import remedy
from harness.adapter.scoring import last_tokens_only
from harness.adapter.targets import Targets, targets_of
from harness.interventions.steps import Steps
from harness.materials.items import Item
from harness.models.specs import ModelError

Members = Sequence[tuple[int, int]]  # components by layer and number there


@dataclass(slots=True)
class Tuned:
    """What was done.

    Attributes:
        steps: That were taken, or taken back.
        answered: Mean logit difference of the items tuned on, nats, after 0, 1, 2 ... steps.
    """

    steps: int = 0
    answered: list[float] = field(default_factory=list)


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
    module = network.engine._module
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
    for number, layer in enumerate(follow(network.engine._module, network.sites.layers)):
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
    return [Part(parameter) for parameter in network.engine._module.parameters()]


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


@contextmanager
def tuned(
    network: Network,
    batcher: Batcher,
    items: Sequence[Item],
    parts: Sequence[Part],
    length: float,
    steps: Steps,
) -> Iterator[Tuned]:
    """The model, tuned to know the answers no more; afterwards every weight is what it was.

    The loss is the divergence of a uniform choice among each item's options from the model's. It
    names no other items: nothing tells the steps to spare them.

    Args:
        network: The model.
        batcher: Runs its prompts.
        items: To be unlearnt, each with an answer and distractors.
        parts: What is changed.
        length: Of the first step.
        steps: How many, and when they become shorter or longer.

    Raises:
        ModelError: If a loss or a gradient is not finite.
    """
    touched = list({id(part.parameter): part.parameter for part in parts}.values())
    before = [parameter.detach().clone() for parameter in touched]
    asked = [parameter.requires_grad for parameter in touched]
    targets = targets_of(network.encoder, items, network.encoder.ids(items), network.device)
    done = Tuned()
    try:
        for parameter in touched:
            parameter.requires_grad_(True)
        now = _asked(network, batcher, items, targets, touched)
        if not math.isfinite(now.loss):
            raise ModelError(f"a loss is not finite: {remedy(network.dtype)}.")
        done.answered.append(now.answered)
        enough = steps.left * now.answered
        first = length
        while done.steps < steps.most and now.answered > enough and now.steepness(parts):
            done.steps += 1
            promised = length * now.steepness(parts)
            now.step(parts, length)
            by = touched if done.steps < steps.most else ()
            then = _asked(network, batcher, items, targets, by)
            kept = (now.loss - then.loss) / promised
            if kept >= steps.poor:
                now, length = then, min(2 * length, first) if kept > steps.good else length
            else:  # also where the loss is not a number
                now.step(parts, -length)
                length /= 4
            done.answered.append(now.answered)
        yield done
    finally:
        for parameter, values, wanted in zip(touched, before, asked, strict=True):
            parameter.data.copy_(values)
            parameter.requires_grad_(wanted)


def length_of(parts: Sequence[Part]) -> float:
    """Euclidean, of all these parameters together."""
    return _length([part.of(part.parameter.data) for part in parts])


def _length(tensors: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float(values.double().square().sum()) for values in tensors))


def _asked(
    network: Network,
    batcher: Batcher,
    items: Sequence[Item],
    targets: Targets,
    by: Sequence[nn.Parameter],
) -> "_Asked":
    found = _Asked(network, targets, by)
    batcher.run(items, found.measure, share=True)
    return found


class _Asked:
    """Some items asked, batch by batch, with the gradient of the loss by some parameters.

    Attributes:
        loss: Summed over items.
        gradients: By `id` of the parameter.
    """

    def __init__(self, network: Network, targets: Targets, by: Sequence[nn.Parameter]) -> None:
        self.network, self.targets, self.by = network, targets, by
        self.gradients: dict[int, Tensor] = {}
        self.loss = self.difference = 0.0

    def measure(self, batch: Batch) -> None:
        """Add a batch's prompts: a forward pass, and a backward pass if there are parameters."""
        module, targets = self.network.engine._module, self.targets.of(batch.rows)
        with torch.set_grad_enabled(bool(self.by)), fused_attention(module):
            with last_tokens_only(module, batch.tree, batch.last):
                logits = module(**batch.inputs, use_cache=False).logits[:, 0].float()
            logits = logits.to(batch.ids.device)
            loss = targets.from_uniform(logits).sum()
            gradients = torch.autograd.grad(loss, self.by, allow_unused=True) if self.by else ()
        for parameter, gradient in zip(self.by, gradients, strict=False):
            if gradient is not None:
                at, known = id(parameter), self.gradients
                known[at] = known[at].add_(gradient) if at in known else gradient
        self.loss += float(loss.detach())
        self.difference += float(targets.difference(logits.detach()).sum())

    @property
    def answered(self) -> float:
        """Mean logit difference, nats."""
        return self.difference / len(self.targets.answer)

    def of(self, parts: Sequence[Part]) -> list[tuple[Part, Tensor]]:
        """The parts that the loss depends on, each with its gradient."""
        known = [part for part in parts if id(part.parameter) in self.gradients]
        return [(part, part.of(self.gradients[id(part.parameter)])) for part in known]

    def steepness(self, parts: Sequence[Part]) -> float:
        """Length of the gradient."""
        return _length([gradient for _, gradient in self.of(parts)])

    def step(self, parts: Sequence[Part], length: float) -> None:
        """Move the parameters by a length against their gradient."""
        times = -length / self.steepness(parts)
        for part, gradient in self.of(parts):
            part.add(gradient, times)
