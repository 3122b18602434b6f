"""The logit lens ends in the model's own logits, whatever follows a model's last layer."""

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model
from harness.adapter.lens import lens, unembedded
from harness.models.specs import ModelError, resolve
from tests.support import tiny_models
from tests.support.tiny_models import item

ITEMS = (item("What is the capital of France?", "Paris", "Rome"), item("Rome", "Oslo", "Asia"))
WORDS = (("Paris", "Rome", "Oslo"), ("Asia", "Oslo", "Paris"))


def loaded(kind, folder):
    saved = tiny_models.save(folder, kind)
    return Model.load(resolve(str(saved)), LoadOptions(device="cpu"))


@torch.no_grad()
def said_after(model, prompt):
    return model.module(torch.tensor([prompt])).logits[0, -1 - model.encoder.tail].numpy()


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "gemma2", "phi", "bert"])
def test_after_the_last_layer_it_reads_what_the_model_says(kind, tmp_path):
    model = loaded(kind, tmp_path)
    read = lens(model, ITEMS, model.extract(ITEMS).resid, WORDS)
    prompts = model.encoder.ids(ITEMS)
    ids = model.encoder.continuations(ITEMS, prompts, WORDS)
    said = [said_after(model, prompt) for prompt in prompts]
    own = np.array([[row[i[0]] for i in each] for row, each in zip(said, ids, strict=True)])
    np.testing.assert_allclose(read[:, -1], own, atol=2e-3)  # Gemma caps its logits softly
    assert np.abs(read[:, 0] - own).max() > 0.01
    weight = model.module.get_output_embeddings().weight.detach().numpy()
    np.testing.assert_array_equal(unembedded(model, ITEMS, WORDS)[1, 2], weight[ids[1][2][0]])


def test_a_model_that_does_more_than_its_modules_say_is_refused(tmp_path):
    model = loaded("roberta", tmp_path)
    with pytest.raises(ModelError, match=r"cannot be read by the logit lens: .*0\.99"):
        lens(model, ITEMS, model.extract(ITEMS).resid, WORDS)


def test_words_that_were_never_read_may_tie(tmp_path):
    model = loaded("gpt2", tmp_path)
    weight = model.module.get_output_embeddings().weight
    most = len(weight) * 9 // 10
    weight.data[:most] = weight.data[0] + 1e-7 * weight.data[:most]  # in another order each time
    assert lens(model, ITEMS, model.extract(ITEMS).resid, WORDS).shape[-1] == 3
