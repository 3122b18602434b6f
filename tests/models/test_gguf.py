"""GGUF files: what is known of one without loading it, and that it is loaded as it asks."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.models import gguf
from harness.models.architecture import architecture_of
from harness.models.identity import config_identity, tokenizer_identity, weights_identity
from harness.models.sizes import size_of
from harness.models.specs import LoadOptions, ModelError, resolve
from tests.support.gguf_models import BOS, HEADS, LAYERS, MLP, WIDTH, write_llama


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pytest.importorskip("gguf")
    return write_llama(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_file_and_a_folder_with_one_name_the_same_model(file):
    by_file, by_folder = resolve(str(file)), resolve(str(file.parent))
    assert (by_file.path, by_file.gguf) == (by_folder.path, by_folder.gguf)
    assert by_file.gguf_file == file


def test_a_folder_with_two_files_asks_for_one_of_them(file, tmp_path):
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(file, tmp_path / name)
    with pytest.raises(ModelError, match=r"holds 2 GGUF files: give one of them, .*a\.gguf"):
        resolve(str(tmp_path))


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match=r"there is no file .* check the path given to --model"):
        resolve(str(tmp_path / "absent.gguf"))


def test_the_header_states_the_architecture(file):
    stated = architecture_of(resolve(str(file)))
    assert (stated.name, stated.layers, stated.heads, stated.d_model) == (
        "llama",
        LAYERS,
        HEADS,
        WIDTH,
    )
    assert (stated.neurons, stated.dtype, stated.quantisation) == (MLP, "float32", "F32")
    assert stated.to_json()["quantisation"] == "F32"
    assert gguf.bos_token(file) == BOS


def test_the_header_says_what_the_gguf_package_says(file):
    reader = pytest.importorskip("gguf").GGUFReader(file)
    ours = gguf.header(file)
    theirs = {name: f.contents() for name, f in reader.fields.items() if "." in name}
    theirs = {n: v for n, v in theirs.items() if not n.startswith("GGUF.")}
    assert {n: len(v) if isinstance(v, list) else v for n, v in theirs.items()} == ours


def test_other_weights_are_another_model_and_another_vocabulary_another_tokenizer(file, tmp_path):
    other = write_llama(tmp_path / "tiny.gguf", seed=1)
    one, two = resolve(str(file)), resolve(str(other))
    assert weights_identity(one, tmp_path) != weights_identity(two, tmp_path)
    assert tokenizer_identity(one) == tokenizer_identity(two)
    assert config_identity(one) == config_identity(two)
    without = resolve(str(write_llama(tmp_path / "without.gguf", add_bos=False)))
    assert tokenizer_identity(one) != tokenizer_identity(without)


def test_a_file_is_read_again_after_it_was_replaced(tmp_path):
    path = write_llama(tmp_path / "tiny.gguf")
    assert gguf.bos_token(path) == BOS
    write_llama(tmp_path / "new.gguf", add_bos=False).replace(path)
    assert gguf.bos_token(path) is None


@pytest.mark.parametrize("kept", [0, 3, 20, 500, 2000])
def test_a_file_cut_off_in_its_header_is_one_sentence(file, tmp_path, kept):
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"cut\.gguf"):
        gguf.header(cut)


def test_the_size_is_that_of_the_loaded_model(file):
    from harness.adapter.loading import counted_parameters

    size, spec = size_of(resolve(str(file))), resolve(str(file))
    assert size.on_disk == Path(file).stat().st_size
    assert size.parameters == counted_parameters(spec)


@pytest.mark.parametrize("add_bos", [True, False])
def test_a_model_is_loaded_with_the_bos_that_its_file_asks_for(tmp_path, add_bos):
    pytest.importorskip("gguf")
    from harness.adapter import Model

    file = write_llama(tmp_path / "tiny.gguf", add_bos=add_bos)
    model = Model.load(resolve(str(file)), LoadOptions(device="cpu"))
    ids = model.tokenizer("the town").input_ids
    assert (ids[0] == BOS) is add_bos
    assert ids.count(BOS) == int(add_bos)
    assert model.self_check().worst()
    twin = model.twin(1)
    assert np.isfinite(twin.module.lm_head.weight.numpy()).all()
