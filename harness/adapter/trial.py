"""A first trial of a model whose architecture no test knows: is it read as it computes?"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from harness.adapter.architectures import follow, mix_weight
from harness.adapter.checks import PROBE_TEXTS
from harness.adapter.finding import VERIFIED, unreadable
from harness.interventions.edits import Edit, zero_ablation
from harness.interventions.sites import Site
from harness.materials.items import Item
from harness.models.specs import ModelError

if TYPE_CHECKING:
    from harness.adapter.model import Model


def refuse_misread(model: "Model") -> None:
    """Try reading and editing on two short prompts; nothing is tried of verified architectures.

    Raises:
        ModelError: If a value that is read, or the effect of an edit, is not the model's own.
    """
    kind = model.architecture.name
    if kind in VERIFIED:
        return
    try:
        wrong = _wrong(model)
    except ModelError:
        raise
    except Exception as error:  # a part of a model that nobody has tried can fail in any way
        text = " ".join(str(error).split())[:200]
        raise unreadable(kind, f"reading it fails ({type(error).__name__}: {text})") from error
    if wrong:
        raise unreadable(kind, f"on a trial {wrong}")


def _wrong(model: "Model") -> str:
    """What is not as the model computes it; '' if nothing."""
    bound = torch.finfo(model.dtype).eps ** 0.5
    worst = model.self_check().worst()
    del worst["foreign_ends"]
    if worst.pop("zeroed") == 0:
        return "zeroing a part changes nothing"
    name = max(worst, key=lambda check: worst[check])
    if not worst[name] <= bound:
        return f"the check {name!r} is off by {worst[name]:.2g} of the largest value"
    ahead = _looks_ahead(model) > bound
    if ahead is model.sites.causal:
        return "a token sees those after it" if ahead else "a token does not see those after it"
    return "" if _edited(model) <= bound else "removing a head is not the loss of its weights"


def _looks_ahead(model: "Model") -> float:
    """How far the first token's values move when others follow, relative to the largest."""
    short, long = (_item(" ".join(PROBE_TEXTS[:count])) for count in (1, 2))
    alone, followed = model.residuals_at([short, long], [[0], [0]])
    return float(np.abs(alone - followed).max() / np.abs(alone).max())


def _edited(model: "Model") -> float:
    """How far a head's ablation in each of two layers is from that of its weights."""
    items = [_item(text) for text in PROBE_TEXTS]
    errors = []
    for layer in (0, model.architecture.layers - 1):
        edits: tuple[Edit, ...] = (zero_ablation(Site("head", layer, 0)),)
        found = model.sweep(items, [edits])
        with torch.no_grad():
            weight = _head_weight(model, layer)
            kept = weight.clone()
            weight.zero_()
            expected = model.sweep(items, [()]).clean_log_probability
            weight.copy_(kept)
        away = np.abs(found.log_probability[0] - expected).max()
        errors.append(float(away / np.abs(expected).max()))
    return max(errors)


def _head_weight(model: "Model", layer: int) -> torch.Tensor:
    """The weights from head 0 to the residual stream; a view."""
    block = follow(model.module, model.sites.layers)[layer]
    weight = mix_weight(follow(follow(block, model.sites.attention), model.sites.head_mix))
    first: torch.Tensor = weight.view(len(weight), model.architecture.heads, -1)[:, 0]
    return first


def _item(text: str) -> Item:
    return Item(id=text, task="check", prompt=text, pair=text, answer="Paris")
