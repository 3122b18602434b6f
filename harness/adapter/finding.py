"""Where the parts of a model are, found from the names and shapes of its modules.

Transformers are built alike: a list of layers, in each an attention that ends in a projection of
all heads' outputs, and an MLP that ends in a projection of its neurons. Authors give these modules
few names. What is found is never trusted alone: `checks.refuse_unreadable` compares
it with what the model computes before anything is measured.

To add an architecture with other names, add them to the lists below, or a row to `ROWS`, and add a
tiny model to `tests/adapter/test_architectures.py`.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from harness.adapter.architectures import Sites, Tree, follow, mix_shape
from harness.adapter.encoder_decoders import T5_KINDS, OneStream
from harness.adapter.encoders import is_encoder
from harness.adapter.experts import Flattened, OpenMixture
from harness.models.specs import ModelError

HEAD_MIXES = ("o_proj", "out_proj", "c_proj", "dense", "out_lin", "Wo")
NEURON_MIXES = ("down_proj", "dense_4h_to_h", "fc2", "c_proj", "fc_out", "lin2", "wo", "Wo")
# The gate, or where there is none, the projection into the neurons; both may be one matrix.
GATES = (
    *("gate_proj", "gate_up_proj", "dense_h_to_4h", "fc1", "c_fc", "fc_in", "up_proj"),
    *("lin1", "wi_0", "wi", "Wi"),
)
# Norms between attention or MLP and the residual stream; the first that a layer has.
ATTENTION_NORMS = ("post_self_attn_layernorm", "post_attention_layernorm")
MLP_NORMS = ("post_mlp_layernorm", "post_feedforward_layernorm")
# Layers of BERT, in which the residual stream itself is normed after attention and after the MLP,
# and what is added to it is the output of a projection.
BERT_LAYER = Sites(
    attention="attention",
    head_mix="output.dense",
    attn_out="attention.output.dense",
    mlp="",
    gate="intermediate.dense",
    neuron_mix="output.dense",
    mlp_out="output.dense",
    calls_interface=False,
    attention_alone=False,
    mlp_alone=False,
    norms=("attention.output.LayerNorm", "output.LayerNorm"),
)
# What differs from what is found, by transformers' `model_type`.
ROWS: dict[str, dict[str, Any]] = {
    "bloom": {
        # Attention and MLP are handed the residual stream, and give it back with what they add.
        **{"attn_out": "self_attention.dense", "mlp_out": "mlp.dense_4h_to_h"},
        **{"attention_alone": False, "mlp_alone": False, "gives_tuple": True, "trees": False},
        "calls_interface": False,
    },
    "codegen": {"calls_interface": False, "gives_tuple": True},
    "distilbert": {"norms": ("sa_layer_norm", "output_layer_norm")},
    "falcon": {"calls_interface": False, "gives_tuple": True},
    "gpt_neo": {"calls_interface": False, "gives_tuple": True},
    "gptj": {"calls_interface": False, "gives_tuple": True},
    "nomic_bert": {
        **{"attn_out": "", "mlp_out": ""},
        "norms": ("post_attention_layernorm", "post_mlp_layernorm"),
    },
}
# By `model_type`; each is checked in every part by a test. Others are tried when they are loaded.
VERIFIED = frozenset(
    (
        *("bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert"),
        *("modernbert", "mt5", "nomic_bert", "roberta", "roberta-prelayernorm", "t5", "umt5"),
        *("xlm-roberta", "xlm-roberta-xl"),
        *("apertus", "arcee", "bloom", "codegen", "cohere", "cohere2", "exaone4", "falcon"),
        *("flex_olmo", "gemma", "gemma2", "gemma3_text", "glm", "glm4", "gpt2", "gpt_bigcode"),
        *("gpt_neo", "gpt_neox", "gpt_oss", "gptj", "granite", "granitemoe", "helium"),
        *("hunyuan_v1_dense", "llama", "ministral", "ministral3", "mistral", "mixtral"),
        *("nemotron", "olmo", "olmo2", "olmo3", "olmoe", "opt", "persimmon", "phi", "phi3"),
        *("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "seed_oss", "smollm3", "stablelm"),
        "starcoder2",
    )
)
READABLE = (
    "a model can be read whose layers are alike, each with softmax attention that ends in one "
    "projection, and an MLP that does (docs/architectures.md)"
)


def sites_in(module: PreTrainedModel) -> Sites:
    """Where the parts of a transformers model are.

    Raises:
        ModelError: If a part is not found in every layer.
    """
    config = module.config
    kind = str(config.model_type)
    refuse_other_kinds(config)
    path = _layers(module)
    if path is None:
        raise unreadable(kind, "no list of its layers is found")
    found = [_sites_in_layer(layer, kind) for layer in follow(module, path)]
    different = next((number for number, sites in enumerate(found) if sites != found[0]), None)
    if different is not None:
        raise unreadable(kind, f"layer {different} is built otherwise than layer 0")
    row = ROWS.get(kind, {})
    if getattr(config, "alibi", False):  # positions are counted from a mask without trees
        row = {**row, "calls_interface": False, "trees": False}
    if is_encoder(config):
        row = {**row, "causal": False, "trees": False}
    if isinstance(module, OneStream):
        row = {**row, "causal": False, "trees": False, "calls_interface": False}
        row |= {"decoder": module.encoder_layers, "before": "own_token"}
    return replace(found[0], layers=path, **row)


def refuse_other_kinds(config: PretrainedConfig) -> None:
    """Refuse an encoder-decoder that is not of the T5 kind.

    Raises:
        ModelError: If it is one.
    """
    if config.is_encoder_decoder and config.model_type not in T5_KINDS:
        raise unreadable(
            config.model_type,
            f"it has an encoder and a decoder, of which only those of the T5 kind "
            f"({', '.join(T5_KINDS)}) are known",
        )


def unreadable(kind: str, why: str) -> ModelError:
    """The refusal of a model, in one sentence."""
    return ModelError(
        f"a model of the architecture {kind!r} cannot be read, because {why}: {READABLE}."
    )


def _layers(module: PreTrainedModel) -> str | None:
    """The path of the first list of as many modules as the model has layers."""
    if isinstance(module, OneStream):
        return "layers"
    count = module.config.get_text_config().num_hidden_layers
    paths = (
        path
        for path, part in module.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) == count
    )
    return next(paths, None)


def _sites_in_layer(layer: nn.Module, kind: str) -> Sites:
    if hasattr(layer, "intermediate") and hasattr(getattr(layer, "attention", None), "self"):
        normed = hasattr(layer.output, "LayerNorm")
        return BERT_LAYER if normed else replace(BERT_LAYER, norms=None)
    attention = _attention(layer)
    if attention is None:
        raise unreadable(kind, "a layer has no attention whose last projection is known")
    mlp = _mlp(layer, attention)
    if mlp is None:
        raise unreadable(kind, "a layer has no MLP whose last projection is known")
    mlp_norm = _name(layer, MLP_NORMS)
    return replace(
        mlp,
        attention=attention,
        head_mix=str(_name(follow(layer, attention), HEAD_MIXES)),
        # In most architectures `post_attention_layernorm` is the norm before the MLP.
        attn_out=str(_name(layer, ATTENTION_NORMS)) if mlp_norm else "",
        mlp_out=mlp_norm or "",
    )


def _attention(layer: nn.Module) -> str | None:
    for name, part in layer.named_children():
        if ("attn" in name or "attention" in name) and "linear" not in name:
            inside = _name(part, HEAD_MIXES)
            if inside is not None:
                return name
            deeper = _attention(part)
            if deeper is not None:
                return f"{name}.{deeper}"
    return None


def _mlp(layer: nn.Module, attention: str) -> Sites | None:
    """The names of the MLP's parts."""
    if isinstance(getattr(layer, "fc2", None), Flattened):
        return Sites(mlp="fc2.inner", neuron_mix="", gate="fc1.inner")
    for name, part in layer.named_children():
        if isinstance(part, OpenMixture):
            inside = "block.experts"
            return Sites(
                mlp=name,
                neuron_mix=f"{inside}.down_proj",
                gate=f"{name}.{inside}.gate_proj",
                mlp_alone=False,
            )
        neuron_mix, gate = _name(part, NEURON_MIXES), _name(part, GATES)
        if name != attention.partition(".")[0] and neuron_mix and gate:
            share = _share(part, gate, neuron_mix)
            return Sites(mlp=name, neuron_mix=neuron_mix, gate=f"{name}.{gate}", gate_share=share)
    return None


def _name(module: Tree, names: Iterable[str]) -> str | None:
    """The first of these names that a module has."""
    return next((name for name in names if hasattr(module, name)), None)


def _share(mlp: nn.Module, gate: str, neuron_mix: str) -> int:
    """How many times the neurons the gate's projection gives: 2 where it is joined with another."""
    return mix_shape(follow(mlp, gate))[0] // mix_shape(follow(mlp, neuron_mix))[1]
