"""An encoder-decoder of the T5 kind as one list of layers, its encoder's first.

A prompt goes into the encoder. The answer's first token is what the decoder gives at its start
token, the only token that it has then. Here the encoder's layers have the prompt's tokens, and the
decoder's have the start token in the last column; what stands in their other columns is never read.
So the streams of both stacks have one shape, and what is measured and edited in a decoder works on
them too.

A decoder's layer has two attentions. The one to the prompt (cross-attention) is its `attention`:
its heads are those of the layer. The one to the decoder's own tokens has one token to attend to, so
that it is a fixed map of that token's stream. It is computed first, as `own_token`, and is no
component.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import Seq2SeqLMOutput

T5_KINDS = ("mt5", "t5", "umt5")
# The setting by which a kind scales what it unembeds.
SCALES = {"t5": "scale_decoder_outputs", "umt5": "tie_word_embeddings"}


class OneStream(PreTrainedModel):  # type: ignore[misc]
    """An encoder-decoder that is run like a decoder.

    Attributes:
        own: The model of transformers, which shares all weights with this one.
        encoder_layers: Number of the encoder's layers; those of the decoder follow.
    """

    _supports_sdpa = True  # by its own modules; here attention is always eager

    def __init__(self, own: PreTrainedModel) -> None:
        super().__init__(own.config)
        self._own = [own]  # in a list: its modules are counted once, where they are used
        encoder, decoder = own.encoder, own.decoder
        self.embed, self.lm_head = own.get_input_embeddings(), own.get_output_embeddings()
        self.layers = nn.ModuleList(
            [StackLayer(block) for block in (*encoder.block, *decoder.block)]
        )
        self.encoder_norm, self.decoder_norm = encoder.final_layer_norm, decoder.final_layer_norm
        self.encoder_layers = len(encoder.block)
        scaled = getattr(own.config, SCALES.get(own.config.model_type, ""), False)
        self.scale = own.config.d_model**-0.5 if scaled else 1.0

    @property
    def own(self) -> Any:
        """The model of transformers."""
        return self._own[0]

    def get_input_embeddings(self) -> nn.Module:
        """Of both stacks."""
        module: nn.Module = self.embed
        return module

    def get_output_embeddings(self) -> nn.Module:
        """The unembedding."""
        module: nn.Module = self.lm_head
        return module

    def forward(
        self,
        input_ids: Int[Tensor, "batch pos"],
        attention_mask: Int[Tensor, "batch pos"],
        logits_to_keep: int = 0,
        **_decoders: Any,
    ) -> Seq2SeqLMOutput:
        """Logits [batch pos d_vocab], of which those of the last column are the answer's.

        Args:
            input_ids: The prompts, padded on the left.
            attention_mask: 1 on their tokens.
            logits_to_keep: How many columns of logits, from the right; 0 for all.
            _decoders: What a decoder is given besides.
        """
        stream = self.embed(input_ids)
        lowest = torch.finfo(stream.dtype).min
        mask = torch.where(attention_mask.bool(), 0.0, lowest)[:, None, None].to(stream)
        bias: Tensor | float = 0.0
        for layer in self.layers[: self.encoder_layers]:
            attention: OpenAttention = layer.attention  # type: ignore[assignment]
            bias = attention.bias(input_ids.shape[1], bias)
            stream = layer(stream, None, mask + bias)
        memory = self.encoder_norm(stream)
        start = torch.full_like(input_ids[:, -1:], self.config.decoder_start_token_id)
        stream = in_last_column(self.embed(start), input_ids.shape[1])
        for layer in self.layers[self.encoder_layers :]:
            stream = layer(stream, memory, mask)
        last = self.decoder_norm(stream) * self.scale
        return Seq2SeqLMOutput(logits=self.lm_head(last[:, -logits_to_keep:]))


class StackLayer(nn.Module):
    """One layer of the encoder or the decoder."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        *before, mixing, feedforward = block.layer
        self.own_token = OwnToken(before[0]) if before else NoToken()
        self.attention_norm = mixing.layer_norm
        self.attention = OpenAttention(
            mixing.EncDecAttention
            if before
            else mixing.SelfAttention  # the second is the encoder's
        )
        self.mlp_norm, self.mlp = feedforward.layer_norm, feedforward.DenseReluDense

    def forward(
        self,
        stream: Float[Tensor, "batch pos d_model"],
        memory: Float[Tensor, "batch pos d_model"] | None,
        mask: Tensor,
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the layer."""
        stream = stream + self.own_token(stream)
        stream = stream + self.attention(self.attention_norm(stream), memory, mask)[0]
        added: Tensor = stream + self.mlp(self.mlp_norm(stream))
        return added


class OpenAttention(nn.Module):
    """An attention whose pattern can be read, and whose z can be changed."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o_proj = inner.q, inner.k, inner.v, inner.o
        self.heads, self._inner = inner.n_heads, [inner]
        if inner.has_relative_attention_bias:
            self.relative_attention_bias = inner.relative_attention_bias

    def bias(self, width: int, above: Tensor | float) -> Tensor | float:
        """What is added to the scores by distance; that of the layer above, if it has none."""
        if not self._inner[0].has_relative_attention_bias:
            return above
        bias: Tensor = self._inner[0].compute_bias(width, width)
        return bias

    def forward(
        self,
        hidden: Float[Tensor, "batch pos d_model"],
        memory: Float[Tensor, "batch pos d_model"] | None,
        mask: Tensor,
    ) -> tuple[Float[Tensor, "batch pos d_model"], Float[Tensor, "batch head query_pos key_pos"]]:
        """The output and the pattern; with a memory, of the last column only, 0 elsewhere."""
        keys = hidden if memory is None else memory
        queries = hidden if memory is None else hidden[:, -1:]
        q, k, v = self._split(self.q(queries)), self._split(self.k(keys)), self._split(self.v(keys))
        pattern = (q @ k.mT + mask).softmax(-1)
        if memory is not None:
            pattern = nn.functional.pad(pattern, (0, 0, hidden.shape[1] - 1, 0))
        z = (pattern @ v).transpose(1, 2).flatten(2)
        return self.o_proj(z), pattern

    def _split(self, values: Tensor) -> Float[Tensor, "batch head pos d_head"]:
        split: Tensor = values.view(*values.shape[:-1], self.heads, -1).transpose(1, 2)
        return split


class OwnToken(nn.Module):
    """What the start token gives itself in the decoder's self-attention: a map of its stream."""

    def __init__(self, mixing: Any) -> None:
        super().__init__()
        self.norm, self.v, self.o = (
            mixing.layer_norm,
            mixing.SelfAttention.v,
            mixing.SelfAttention.o,
        )

    def forward(self, stream: Float[Tensor, "batch pos d"]) -> Float[Tensor, "batch pos d"]:
        """What is added to the last column; 0 elsewhere."""
        return in_last_column(self.o(self.v(self.norm(stream[:, -1:]))), stream.shape[1])


class NoToken(nn.Module):
    """The same in an encoder's layer: nothing."""

    def forward(self, stream: Float[Tensor, "batch pos d"]) -> Float[Tensor, "batch pos d"]:
        """Zeros."""
        return torch.zeros_like(stream)


def in_last_column(values: Float[Tensor, "batch 1 d"], width: int) -> Float[Tensor, "batch pos d"]:
    """The values in the last of `width` columns, among zeros."""
    return nn.functional.pad(values, (0, 0, width - 1, 0))
