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

from harness.adapter.attention import fused_attention
from harness.adapter.batching import Batcher
from harness.adapter.clean import Network
from harness.adapter.encoding import Batch
from harness.adapter.overflow import remedy
from harness.adapter.owned import Part, length_of
from harness.adapter.scoring import last_tokens_only
from harness.adapter.targets import Targets, targets_of
from harness.interventions.steps import Steps
from harness.materials.items import Item
from harness.models.specs import ModelError


@dataclass(slots=True)
class Tuned:
    """What was done.

    Attributes:
        steps: That were taken, or taken back.
        answered: Mean logit difference of the items tuned on, nats, after 0, 1, 2 ... steps.
    """

    steps: int = 0
    answered: list[float] = field(default_factory=list)


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
        module, targets = self.network.module, self.targets.of(batch.rows)
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
        return length_of([gradient for _, gradient in self.of(parts)])

    def step(self, parts: Sequence[Part], length: float) -> None:
        """Move the parameters by a length against their gradient."""
        times = -length / self.steepness(parts)
        for part, gradient in self.of(parts):
            part.add(gradient, times)
