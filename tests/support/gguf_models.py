"""A tiny GGUF file of the Llama architecture, written by the `gguf` package."""

import numpy as np

LAYERS, HEADS, WIDTH, MLP = 2, 2, 16, 24
BOS = 257


def _bytes_alphabet():
    """The 256 characters that byte-level BPE writes bytes as."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return list(bytes_to_unicode().values())


def write_llama(path, *, add_bos=True, seed=0, quantised=False):
    """Write a random model whose tokenizer knows bytes and one merge."""
    import gguf

    tokens = [*_bytes_alphabet(), "th", "<s>", "</s>"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantised else 0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3, 3])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(BOS + 1)
    writer.add_add_bos_token(add_bos)
    rng = np.random.default_rng(seed)

    def tensor(name, *shape):
        writer.add_tensor(name, (rng.standard_normal(shape) * 0.3).astype(np.float32))

    tensor("token_embd.weight", len(tokens), WIDTH)
    tensor("output.weight", len(tokens), WIDTH)
    tensor("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(f"{block}.{name}.weight", WIDTH, WIDTH)
        tensor(f"{block}.ffn_gate.weight", MLP, WIDTH)
        tensor(f"{block}.ffn_up.weight", MLP, WIDTH)
        tensor(f"{block}.ffn_down.weight", WIDTH, MLP)
        tensor(f"{block}.attn_norm.weight", WIDTH)
        tensor(f"{block}.ffn_norm.weight", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
