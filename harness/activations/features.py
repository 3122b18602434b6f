"""What is measured at a site: one function for each published definition or controlled variant.

Pure torch, on whatever device the tensors are, in float32 whatever the dtype of the model.
`row` is the attention that a token pays, `visible` marks the keys that it may see: real (not
padding) and not later than itself. The token is its own last visible key. Axes between batch and
key_pos (layers, heads) pass through. Rows sum to one over their visible keys; the other keys are
ignored.

To add a feature, write its function, add it to `LAYER_FEATURES` or `HEAD_METRICS` at the end of
this file and raise `FEATURES_VERSION`. Importing this module does not import torch, so that
stored features are read without it.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    Row = Float[Tensor, "batch *axes key_pos"]
    HeadRows = Float[Tensor, "batch *axes head key_pos"]
    Visible = Bool[Tensor, "batch key_pos"]
    PerRow = Float[Tensor, "batch *axes"]
    Resid = Float[Tensor, "*axes d_model"]
    Gate = Float[Tensor, "*axes neuron"]
    PerToken = Float[Tensor, "*axes"]

FEATURES_VERSION = 1  # raise it when a feature, a site or the scoring changes its meaning
SPARSE_GATE = 0.01  # published threshold: a gate below it in size counts as closed


def resid_norm(resid: "Resid") -> "PerToken":
    """L2 norm of the residual stream, in the model's own units, >= 0.

    Source: layer feature one of Fartale et al. 2025.
    """
    return resid.float().square().sum(-1).sqrt()


def resid_mean(resid: "Resid") -> "PerToken":
    """Mean of the residual stream over its dimensions, in the model's own units.

    Source: layer feature two of Fartale et al. 2025.
    """
    return resid.float().mean(-1)


def entropy(row: "Row", visible: "Visible") -> "PerRow":
    """Shannon entropy of each attention row in nats, from 0 to ln(visible keys).

    Source: head metric one of Fartale et al. 2025. Differs: 0 ln 0 is 0 exactly, where theirs
    adds a small constant inside the logarithm.
    """
    row = _real(row, visible)
    return -row.xlogy(row).sum(-1)


def entropy_per_log_length(row: "Row", visible: "Visible") -> "PerRow":
    """Entropy over its upper bound ln(visible keys): 0 to 1; 0 where one key is visible.

    Source: controlled variant. Differs from `entropy`: longer prompts allow more entropy, so
    the plain one depends on length; this one is 1 for an even row of any length.
    """
    bound = visible.sum(-1).float().log()
    bound = bound.reshape(-1, *[1] * (row.ndim - 2))
    return (entropy(row, visible) / bound.clamp_min(1e-6)).where(bound > 0, 0.0)


def maximum(row: "Row", visible: "Visible") -> "PerRow":
    """The largest weight in each row, 1/visible to 1.

    Source: head metric two of Fartale et al. 2025.
    """
    return _real(row, visible).amax(-1)


def self_focus(row: "Row", visible: "Visible") -> "PerRow":
    """The weight a token pays to itself, 0 to 1.

    Source: head metric three of Fartale et al. 2025.
    """
    own = _last(visible).reshape(-1, *[1] * (row.ndim - 1)).expand(*row.shape[:-1], 1)
    return row.gather(-1, own).squeeze(-1).float()


def deviation(row: "Row", visible: "Visible") -> "PerRow":
    """Standard deviation of each row over its n visible keys, divisor n (ddof 0); 0 = even.

    Source: head metric four of Fartale et al. 2025. Differs: theirs divides by n - 1, which is
    not a number at n = 1; the ratio is sqrt(n / (n - 1)), the same for all heads of a prompt.
    """
    row, mask = _real(row, visible), _spread(visible, row)
    count = mask.sum(-1)
    mean = row.sum(-1) / count
    return ((row - mean[..., None]).square() * mask).sum(-1).div(count).sqrt()


def gini(row: "Row", visible: "Visible") -> "PerRow":
    """Gini coefficient of each row over its n visible keys, 0 = even, (n - 1)/n = one key.

    Source: head metric five of Fartale et al. 2025. Differs: theirs clips to [0, 1].
    """
    row = _real(row, visible)
    hidden = _spread(~visible, row).sum(-1)  # zeros, which sorting puts first
    count = row.shape[-1] - hidden
    import torch  # noqa: PLC0415

    rank = torch.arange(1, row.shape[-1] + 1, device=row.device, dtype=row.dtype)
    ascending = _ascending(row)
    weighted = (ascending * rank).sum(-1) - hidden * ascending.sum(-1)
    return 2 * weighted / (count * ascending.sum(-1)) - (count + 1) / count


def attention_entropy(row: "HeadRows", visible: "Visible") -> "PerRow":
    """Entropy in nats of the head-averaged attention row: of the layer, not the mean of heads.

    Source: layer feature three of Fartale et al. 2025. At least the mean of the heads' entropies.
    """
    return entropy(row.float().mean(-2), visible)


def attention_concentration(row: "HeadRows", visible: "Visible") -> "PerRow":
    """1 / (1 + H) with H the layer's attention entropy in nats; 1 = all on one key.

    Source: layer feature four of Fartale et al. 2025. It falls when feature three rises, so
    the votes of the two on a task always oppose each other.
    """
    return 1 / (1 + attention_entropy(row, visible))


def attention_entropy_per_log_length(row: "HeadRows", visible: "Visible") -> "PerRow":
    """Layer attention entropy over its bound ln(visible keys), 0 to 1; 0 where one is visible.

    Source: controlled variant of layer feature three; see `entropy_per_log_length`.
    """
    return entropy_per_log_length(row.float().mean(-2), visible)


def gate_mean_abs(gate: "Gate") -> "PerToken":
    """Mean size of the MLP's gate before its activation function, >= 0.

    Source: layer feature five of Fartale et al. 2025. A model without a gate gives its
    pre-activation.
    """
    return gate.float().abs().mean(-1)


def gate_sparsity(gate: "Gate") -> "PerToken":
    """Share of neurons whose gate before activation is smaller than 0.01 in size, 0 to 1.

    Source: layer feature six of Fartale et al. 2025.
    """
    return (gate.float().abs() < SPARSE_GATE).float().mean(-1)


def _spread(visible: "Visible", row: "Row") -> "Bool[Tensor, 'batch *axes key_pos']":
    """`visible` with axes of one between batch and key_pos."""
    return visible.reshape(len(visible), *[1] * (row.ndim - 2), visible.shape[-1])


def _real(row: "Row", visible: "Visible") -> "Row":
    """The row in float32, zero where it is not visible."""
    return row.float() * _spread(visible, row)


def _ascending(row: "Row") -> "Row":
    """Each row sorted; by numpy on a CPU, where torch takes 30 times as long."""
    import torch  # noqa: PLC0415

    return torch.from_numpy(np.sort(row)) if row.device.type == "cpu" else row.sort(-1).values


def _last(visible: "Visible") -> "Int[Tensor, ' batch']":
    """Index of the last visible key."""
    import torch  # noqa: PLC0415

    order = torch.arange(visible.shape[-1], device=visible.device)
    return (visible * order).amax(-1)


@dataclass(frozen=True, slots=True)
class Feature:
    """A function of this file, and which criterion uses it.

    The names of its arguments say what it is computed from: `resid`, `row`, `gate`, `visible`.

    Attributes:
        function: Its name is the name of the feature.
        published: Whether the published criterion uses it.
        controlled: Whether the controlled criterion uses it.
    """

    function: "Callable[..., PerRow]"
    published: bool = True
    controlled: bool = True

    @property
    def name(self) -> str:
        """The name in tables and records."""
        return self.function.__name__

    def __call__(self, **tensors: "Tensor") -> "PerRow":
        """The feature, from those of the tensors that its function takes."""
        return self.function(
            *(tensors[name] for name in inspect.signature(self.function).parameters)
        )


# In the order of the last axis of the stored arrays.
LAYER_FEATURES = (
    Feature(resid_norm),
    Feature(resid_mean),
    Feature(attention_entropy, controlled=False),  # longer prompts allow more entropy
    Feature(attention_concentration, controlled=False),  # falls with entropy: would vote twice
    Feature(gate_mean_abs),
    Feature(gate_sparsity),
    Feature(attention_entropy_per_log_length, published=False),
)
HEAD_METRICS = (
    Feature(entropy, controlled=False),  # longer prompts allow more entropy
    Feature(maximum),
    Feature(self_focus),
    Feature(deviation),
    Feature(gini),
    Feature(entropy_per_log_length, published=False),
)


def feature_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """The names of all of these features."""
    return tuple(feature.name for feature in features)


def published_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """The names of those that the published criterion uses."""
    return tuple(feature.name for feature in features if feature.published)


def controlled_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """The names of those that the controlled criterion uses."""
    return tuple(feature.name for feature in features if feature.controlled)


def layer_features(
    resid: "Float[Tensor, 'batch *axes d_model']",
    row: "HeadRows",
    gate: "Float[Tensor, 'batch *axes neuron']",
    visible: "Visible",
) -> "Float[Tensor, 'batch *axes feature']":
    """All of `LAYER_FEATURES`, in that order, in the last axis."""
    import torch  # noqa: PLC0415

    columns = [f(resid=resid, row=row, gate=gate, visible=visible) for f in LAYER_FEATURES]
    return torch.stack(columns, dim=-1)


def head_metrics(row: "Row", visible: "Visible") -> "Float[Tensor, 'batch *axes head metric']":
    """All of `HEAD_METRICS`, in that order, in the last axis."""
    import torch  # noqa: PLC0415

    return torch.stack([f(row=row, visible=visible) for f in HEAD_METRICS], dim=-1)
