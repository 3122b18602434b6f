"""The same measurements by other means: torch hooks on the bare model, each prompt alone and
unpadded, features written out in numpy and scipy. Shares no code with the adapter."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
import torch

LAYERS = {"gpt2": "transformer.h", "gpt_neox": "gpt_neox.layers"}
GATES = {"gpt2": "mlp.c_fc", "gpt_neox": "mlp.dense_h_to_4h", "phi3": "mlp.gate_up_proj"}
NEURONS = {"gpt2": "mlp.c_proj", "gpt_neox": "mlp.dense_4h_to_h"}


@dataclass(frozen=True, slots=True)
class Run:
    """One prompt's values, every layer and position: numpy, float64."""

    pattern: np.ndarray  # layer head query_pos key_pos
    gates: np.ndarray  # layer pos neuron
    neurons: np.ndarray  # layer pos neuron
    resid: np.ndarray  # layer pos d_model
    logits: np.ndarray  # pos d_vocab


@torch.no_grad()
def run(module: Any, ids: Sequence[int]) -> Run:
    """Forward one prompt with hooks that keep everything."""
    kind = module.config.model_type
    seen: dict[str, list[np.ndarray]] = {"gates": [], "neurons": [], "resid": []}

    def keep(name: str, value: Any) -> None:
        value = value[0] if isinstance(value, tuple) else value
        seen[name].append(value[0].double().numpy().copy())

    def keep_output(name: str, _module: Any, _inputs: Any, output: Any) -> None:
        keep(name, output)

    def keep_input(name: str, _module: Any, inputs: Any) -> None:
        keep(name, inputs[0])

    handles = []
    for layer in module.get_submodule(LAYERS.get(kind, "model.layers")):
        gate = layer.get_submodule(GATES.get(kind, "mlp.gate_proj"))
        down = layer.get_submodule(NEURONS.get(kind, "mlp.down_proj"))
        handles += [
            gate.register_forward_hook(partial(keep_output, "gates")),
            down.register_forward_pre_hook(partial(keep_input, "neurons")),
            layer.register_forward_hook(partial(keep_output, "resid")),
        ]
    try:
        output = module(input_ids=torch.tensor([list(ids)]), output_attentions=True)
    finally:
        for handle in handles:
            handle.remove()
    values = {name: np.stack(rows) for name, rows in seen.items()}
    values["gates"] = values["gates"][..., : values["neurons"].shape[-1]]  # phi3: gate, then up
    pattern = np.stack([p[0].double().numpy() for p in output.attentions])
    return Run(pattern, logits=output.logits[0].double().numpy(), **values)


def features(found: Run, at: int) -> dict[str, np.ndarray]:
    """Layer features and head metrics of token `at`, as `Activations` orders them."""
    layers, heads = [], []
    for pattern, gate, resid in zip(found.pattern, found.gates, found.resid, strict=True):
        rows = pattern[:, at, : at + 1]
        layers.append([*layer_row(rows, gate[at], resid[at])])
        heads.append([head_row(row) for row in rows])
    return {
        "layers": np.array(layers),
        "heads": np.array(heads),
        "gates": found.gates[:, at],
        "neurons": found.neurons[:, at],
        "resid": found.resid[:, at],
    }


def layer_row(rows: np.ndarray, gate: np.ndarray, resid: np.ndarray) -> list[float]:
    average = rows.mean(0)
    entropy = scipy.stats.entropy(average)
    size = np.abs(gate)
    length = np.log(len(average))
    return [
        np.sqrt((resid**2).sum()),
        resid.mean(),
        entropy,
        1 / (1 + entropy),
        size.mean(),
        (size < 0.01).mean(),
        entropy / length if length > 0 else 0.0,
    ]


def head_row(row: np.ndarray) -> list[float]:
    entropy, count = scipy.stats.entropy(row), len(row)
    gini = np.abs(row[:, None] - row[None, :]).sum() / (2 * count**2 * row.mean())
    relative = entropy / np.log(count) if count > 1 else 0.0
    return [entropy, row.max(), row[-1], row.std(), gini, relative]


def log_probability(
    module: Any, prompt: Sequence[int], answer: Sequence[int]
) -> tuple[float, bool]:
    """Of the answer after the prompt, in one full forward; and whether greedy decoding says it."""
    logits = run(module, [*prompt, *answer]).logits[len(prompt) - 1 : -1]
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    total = sum(row[token] for row, token in zip(log_p, answer, strict=True))
    return float(total), [int(row.argmax()) for row in logits] == list(answer)
