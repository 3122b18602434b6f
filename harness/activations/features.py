"""What is measured at a site: one function a published definition or controlled variant.

Pure torch, on whatever device the tensors are, in float32 whatever the model's own type.
`row` is the attention a token pays, `visible` marks the keys it may see: real (not padding) and
not later than itself. The token is its own last visible key. Axes between batch and key_pos
(layers, heads) pass through. Rows sum to one over their visible keys; outside, they are ignored.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.activations.extracted import HEAD_METRICS, LAYER_FEATURES

SPARSE_GATE = 0.01  # published threshold: a gate below it in size counts as closed

Row = Float[Tensor, "batch *axes key_pos"]
Visible = Bool[Tensor, "batch key_pos"]
PerRow = Float[Tensor, "batch *axes"]


def resid_norm(resid: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes"]:
    """L2 norm of the residual stream, in the model's own units, >= 0.

    Source: layer feature one of Fartale et al. 2025.
    """
    return resid.float().square().sum(-1).sqrt()


def resid_mean(resid: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes"]:
    """Mean of the residual stream over its dimensions, in the model's own units.

    Source: layer feature two of Fartale et al. 2025.
    """
    return resid.float().mean(-1)


def entropy(row: Row, visible: Visible) -> PerRow:
    """Shannon entropy of each attention row in nats, from 0 to ln(visible keys).

    Source: head metric one of Fartale et al. 2025. Differs: 0 ln 0 is 0 exactly, where theirs
    adds a small constant inside the logarithm.
    """
    row = _real(row, visible)
    return -torch.xlogy(row, row).sum(-1)


def entropy_per_log_length(row: Row, visible: Visible) -> PerRow:
    """Entropy over its upper bound ln(visible keys): 0 to 1; 0 where one key is visible.

    Source: controlled variant. Differs from `entropy`: longer prompts allow more entropy, so the
    plain one tells lengths apart; this one is 1 for an even row of any length.
    """
    bound = visible.sum(-1).float().log()
    bound = bound.reshape(-1, *[1] * (row.ndim - 2))
    return torch.where(bound > 0, entropy(row, visible) / bound.clamp_min(1e-6), 0.0)


def maximum(row: Row, visible: Visible) -> PerRow:
    """The largest weight in each row, 1/visible to 1.

    Source: head metric two of Fartale et al. 2025.
    """
    return _real(row, visible).amax(-1)


def self_focus(row: Row, visible: Visible) -> PerRow:
    """The weight a token pays to itself, 0 to 1.

    Source: head metric three of Fartale et al. 2025.
    """
    own = _last(visible).reshape(-1, *[1] * (row.ndim - 1)).expand(*row.shape[:-1], 1)
    return row.gather(-1, own).squeeze(-1).float()


def deviation(row: Row, visible: Visible) -> PerRow:
    """Standard deviation of each row over its n visible keys, divisor n (ddof 0); 0 = even.

    Source: head metric four of Fartale et al. 2025. Differs: theirs divides by n - 1, which is
    not a number at n = 1; the ratio is sqrt(n / (n - 1)), the same for all heads of a prompt.
    """
    row, mask = _real(row, visible), _spread(visible, row)
    count = mask.sum(-1)
    mean = row.sum(-1) / count
    return ((row - mean[..., None]).square() * mask).sum(-1).div(count).sqrt()


def gini(row: Row, visible: Visible) -> PerRow:
    """Gini coefficient of each row over its n visible keys, 0 = even, (n - 1)/n = one key.

    Source: head metric five of Fartale et al. 2025. Differs: theirs clips to [0, 1].
    """
    row = _real(row, visible)
    hidden = _spread(~visible, row).sum(-1)  # zeros, which sorting puts first
    count = row.shape[-1] - hidden
    rank = torch.arange(1, row.shape[-1] + 1, device=row.device, dtype=row.dtype)
    ascending = row.sort(-1).values
    weighted = (ascending * rank).sum(-1) - hidden * ascending.sum(-1)
    return 2 * weighted / (count * ascending.sum(-1)) - (count + 1) / count


def attention_entropy(row: Float[Tensor, "batch *axes head key_pos"], visible: Visible) -> PerRow:
    """Entropy in nats of the head-averaged attention row: of the layer, not the mean of heads.

    Source: layer feature three of Fartale et al. 2025. At least the mean of the heads' entropies.
    """
    return entropy(row.float().mean(-2), visible)


def attention_concentration(
    row: Float[Tensor, "batch *axes head key_pos"], visible: Visible
) -> PerRow:
    """1 / (1 + H) with H the layer's attention entropy in nats; 1 = all on one key.

    Source: layer feature four of Fartale et al. 2025. A falling function of feature three, so
    their votes on a task always oppose each other.
    """
    return 1 / (1 + attention_entropy(row, visible))


def attention_entropy_per_log_length(
    row: Float[Tensor, "batch *axes head key_pos"], visible: Visible
) -> PerRow:
    """Layer attention entropy over its bound ln(visible keys), 0 to 1; 0 where one is visible.

    Source: controlled variant of layer feature three; see `entropy_per_log_length`.
    """
    return entropy_per_log_length(row.float().mean(-2), visible)


def gate_mean_abs(gate: Float[Tensor, "*axes neuron"]) -> Float[Tensor, "*axes"]:
    """Mean size of the MLP's gate before its activation function, >= 0.

    Source: layer feature five of Fartale et al. 2025. A model without a gate gives its
    pre-activation.
    """
    return gate.float().abs().mean(-1)


def gate_sparsity(gate: Float[Tensor, "*axes neuron"]) -> Float[Tensor, "*axes"]:
    """Share of neurons whose gate before activation is smaller than 0.01 in size, 0 to 1.

    Source: layer feature six of Fartale et al. 2025.
    """
    return (gate.float().abs() < SPARSE_GATE).float().mean(-1)


def layer_features(
    resid: Float[Tensor, "batch *axes d_model"],
    row: Float[Tensor, "batch *axes head key_pos"],
    gate: Float[Tensor, "batch *axes neuron"],
    visible: Visible,
) -> Float[Tensor, "batch *axes feature"]:
    """All of `LAYER_FEATURES`, in that order, in the last axis."""
    layer_entropy = attention_entropy(row, visible)
    columns = {
        "resid_norm": resid_norm(resid),
        "resid_mean": resid_mean(resid),
        "attention_entropy": layer_entropy,
        "attention_concentration": 1 / (1 + layer_entropy),
        "gate_mean_abs": gate_mean_abs(gate),
        "gate_sparsity": gate_sparsity(gate),
        "attention_entropy_per_log_length": attention_entropy_per_log_length(row, visible),
    }
    return torch.stack([columns[name] for name in LAYER_FEATURES], dim=-1)


def head_metrics(
    row: Float[Tensor, "batch *axes head key_pos"], visible: Visible
) -> Float[Tensor, "batch *axes head metric"]:
    """All of `HEAD_METRICS`, in that order, in the last axis."""
    columns = {
        "entropy": entropy(row, visible),
        "maximum": maximum(row, visible),
        "self_focus": self_focus(row, visible),
        "deviation": deviation(row, visible),
        "gini": gini(row, visible),
        "entropy_per_log_length": entropy_per_log_length(row, visible),
    }
    return torch.stack([columns[name] for name in HEAD_METRICS], dim=-1)


def _spread(visible: Visible, row: Row) -> Bool[Tensor, "batch *axes key_pos"]:
    """`visible` with axes of one between batch and key_pos."""
    return visible.reshape(len(visible), *[1] * (row.ndim - 2), visible.shape[-1])


def _real(row: Row, visible: Visible) -> Row:
    """The row in float32, zero where it is not visible."""
    return row.float() * _spread(visible, row)


def _last(visible: Visible) -> Int[Tensor, " batch"]:
    """Index of the last visible key."""
    order = torch.arange(visible.shape[-1], device=visible.device)
    return (visible * order).amax(-1)
