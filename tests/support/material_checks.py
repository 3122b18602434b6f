"""What the tests of materials share: tokenizers, and what a classifier makes of the surface.

Real tokenizers are read from the folder RECALL_TOKENIZERS (sub-folders qwen2.5, llama-3.1, gpt2).
"""

import os
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
TOKENIZERS = ["embedded", "qwen2.5", "llama-3.1", "gpt2"]
CONTRASTS = [("recall", "reasoning"), ("lookup", "reasoning"), ("recall", "lookup")]
SEEDS = (0, 5)


def load_tokenizer(name):
    """A tokenizer by name: `embedded`, `grown` to all domains, or one of the real ones."""
    if name in ("embedded", "grown"):
        embedded = word_tokenizer(corpus.vocabulary())
        return embedded if name == "embedded" else grown(embedded, corpus.vocabulary(DOMAINS))
    if not (FOLDER / name).is_dir():
        pytest.skip(f"no tokenizer {name}: set RECALL_TOKENIZERS to a folder that holds it")
    return AutoTokenizer.from_pretrained(FOLDER / name)


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
