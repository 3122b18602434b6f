"""Tensor parallelism: a model whose large weights are divided over several processes.

The first process runs the model as if it were alone. What it reads and edits is whole there: heads,
neurons, attention patterns. Only where it comes to a divided weight do all processes multiply
together (`parts`). Which weights are divided, and along which axis, is said by transformers' plan
for the architecture, the one that `tp_plan="auto"` applies. Differs: transformers divides heads and
neurons too, so that each process sees some of them alone.
"""

import re
import weakref
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from harness.adapter import parts, processes
from harness.models.specs import ModelError

# Styles of a plan: each process makes some of the outputs, or a share of every output.
AXES = {
    **dict.fromkeys(("colwise", "colwise_gather_output", "colwise_rep"), 0),
    **dict.fromkeys(("rowwise", "rowwise_split_input", "rowwise_rep"), 1),
}
WHOLE = ("replicate", "replicated_with_grad_allreduce")  # styles of weights that all have


class Divided(nn.Module):
    """A linear map whose weight is divided over the processes; its bias is whole.

    Attributes:
        number: The weight's, in `parts`.
        in_features: Width of what it takes.
        out_features: Width of what it gives.
    """

    def __init__(self, linear: nn.Linear, axis: int) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.number = parts.hold(linear.weight.detach(), axis)
        self.bias = linear.bias
        weakref.finalize(self, parts.drop, self.number).atexit = False

    def forward(self, values: Float[Tensor, "*axes in"]) -> Float[Tensor, "*axes out"]:
        """What `nn.Linear` gives, up to the order of adding."""
        made: Tensor = _Product.apply(values, self.number, self.in_features)  # type: ignore
        made = made[..., : self.out_features]
        return made if self.bias is None else made + self.bias

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The whole weight, gathered anew each time."""
        return parts.gather(self.number)[: self.out_features, : self.in_features]

    @cached_property
    def largest(self) -> Float[Tensor, " in"]:
        """The largest absolute weight of each input."""
        return self.weight.abs().amax(0)


class _Product(torch.autograd.Function):
    """The product of all processes, and the gradient of its values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, number: int, width: int) -> Tensor:
        ctx.number, ctx.width = number, width
        return parts.multiply(number, values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        found = parts.multiply(ctx.number, gradients[0], transposed=True)
        return found[..., : ctx.width], None, None


def divide(module: PreTrainedModel) -> PreTrainedModel:
    """Divide the weights of a model's layers; all else goes to this process's device.

    Args:
        module: The model, in the memory of the CPU; it is changed in place.

    Raises:
        ModelError: If transformers' plan divides what cannot be divided here, or there is none.
    """
    for name, axis in planned(module).items():
        linear = module.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        module.set_submodule(name, Divided(linear, axis))
    return module.to(processes.device())


def is_divided(module: nn.Module) -> bool:
    """Whether a part of the model is divided."""
    return any(isinstance(part, Divided) for part in module.modules())


def planned(module: PreTrainedModel) -> dict[str, int]:
    """By name, the linear maps of a model's layers, with the axis along which each is divided.

    The embedding and the unembedding stay whole: answers are read at few tokens.

    Args:
        module: The model as transformers made it; it may be without weights.

    Raises:
        ModelError: If the plan divides what cannot be divided here, or there is none.
    """
    axes = dict(_planned(module))
    if not axes:
        raise ModelError(
            f"transformers has no tensor-parallel plan for {module.config.model_type!r}: leave out "
            "--tensor-parallel, and spread the model with --device-map auto."
        )
    return axes


def _planned(module: PreTrainedModel) -> Iterator[tuple[str, int]]:
    plan = {name: style for name, style in module.tp_plan.items() if "*" in name}
    for name, style in plan.items():
        pattern = re.compile(re.escape(name).replace(r"\*", r"\d+"))
        for path, part in module.named_modules():
            if style in WHOLE or not pattern.fullmatch(path):
                continue
            if style not in AXES or not isinstance(part, nn.Linear):
                raise ModelError(
                    f"{path} of {module.config.model_type!r} cannot be divided ({style}; mixtures "
                    "of experts cannot): leave out --tensor-parallel, and spread the model with "
                    "--device-map auto."
                )
            yield path, AXES[style]
