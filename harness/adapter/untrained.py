"""Untrained networks saved as folders, as `save_pretrained` does."""

import shutil
from pathlib import Path

import torch
import transformers

from harness.adapter.loading import language_model, quiet
from harness.models.hub import local_folder
from harness.models.specs import ModelError, ModelSpec

TOKENIZER = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "chat_template*")


def write_untrained(like: ModelSpec, out: Path, seed: int) -> Path:
    """Save a network with a model's architecture and tokenizer, and newly drawn weights.

    Args:
        like: A model that is on this machine.
        out: The folder; written completely or not at all, and left as it is if it exists.
        seed: Of the weights. The global random state stays as it was.
    """
    if out.is_dir():
        return out
    folder = local_folder(like)
    if folder is None:
        raise ModelError(f"{like.name} is not on this machine: download it first.")
    quiet()
    config = transformers.AutoConfig.from_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = language_model(config).from_config(config, dtype=torch.float32)
    scratch = out.with_name(f"{out.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    model.save_pretrained(scratch)
    for pattern in TOKENIZER:
        for path in folder.glob(pattern):
            shutil.copy(path, scratch / path.name)
    scratch.rename(out)
    return out
