"""What the tests of materials share: tokenizers, and what a classifier makes of the surface.

Real tokenizers are read from the folder RECALL_TOKENIZERS (sub-folders qwen2.5, llama-3.1, gpt2),
and those of models from the folder RECALL_MODELS (a sub-folder or a GGUF file of each of
`OF_MODELS`).
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from fixtures.training import corpus
from fixtures.training.tokenizer import grown, word_tokenizer
from harness.materials.domains import DOMAINS
from harness.materials.surface import surface_features

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("RECALL_TOKENIZERS", ROOT.parent / "shared" / "tokenizers"))
MODELS = Path(os.environ.get("RECALL_MODELS", ROOT.parent / "models"))
OF_MODELS = ["gemma3-270m", "smollm2"]
REAL = ["qwen2.5", "llama-3.1", "gpt2", *OF_MODELS]
TOKENIZERS = ["embedded", *REAL]
CONTRASTS = [("recall", "reasoning"), ("lookup", "reasoning"), ("recall", "lookup")]
SEEDS = (0, 5)


@cache
def load_tokenizer(name):
    """A tokenizer by name: `embedded`, `grown` to all domains, or one of the real ones."""
    if name in ("embedded", "grown"):
        embedded = word_tokenizer(corpus.vocabulary())
        return embedded if name == "embedded" else grown(embedded, corpus.vocabulary(DOMAINS))
    for folder in (FOLDER, MODELS):
        if (folder / name).is_dir():
            return AutoTokenizer.from_pretrained(folder / name)
    if (MODELS / f"{name}.gguf").is_file():
        pytest.importorskip("gguf", reason="a tokenizer in a GGUF file is read by the gguf package")
        return AutoTokenizer.from_pretrained(MODELS, gguf_file=f"{name}.gguf")
    variable = "RECALL_MODELS" if name in OF_MODELS else "RECALL_TOKENIZERS"
    pytest.skip(f"no tokenizer {name}: set {variable} to a folder that holds it")


def encode(tokenizer, prompts):
    return tokenizer([item.prompt for item in prompts.items]).input_ids


def surface_score(tokenizer, prompts) -> float:
    """Held-out AUC of a classifier that sees tokens, length, label and order, pairs together."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict

    features = surface_features(prompts.items, encode(tokenizer, prompts))
    truth = np.array([item.task == prompts.tasks[0] for item in prompts.items])
    groups = [item.pair for item in prompts.items]
    guess = cross_val_predict(
        LogisticRegression(max_iter=2000),
        features,
        truth,
        groups=groups,
        cv=GroupKFold(5),
        method="decision_function",
    )
    return roc_auc_score(truth, guess)
