import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.utils import chat_template_utils

from fixtures.training import tokenizer as organism_tokenizer
from harness.adapter import LoadOptions, Model, chat, loading
from harness.adapter.encoding import Encoder
from harness.adapter.positions import PositionMasks
from harness.materials import sets
from harness.materials.items import Item
from harness.models.specs import ModelError, ModelSpec, resolve
from harness.store.store import Store
from harness.study.subject import Subject
from tests.support import tiny_models
from tests.support.tiny_models import ITEMS, largest_difference

TOKENIZERS = Path(
    os.environ.get("RECALL_TOKENIZERS")
    or Path(__file__).resolve().parents[3] / "shared" / "tokenizers"
)


@pytest.fixture(scope="module")
def model(load):
    return load("qwen2")


def test_workers_share_the_threads(model, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    monkeypatch.setattr(loading, "DEFAULT_THREADS", 12)
    monkeypatch.setattr(loading, "SMALL", 0)
    before = torch.get_num_threads()
    try:
        reloaded(model)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_small_model_keeps_the_memory_that_tensors_free(model, monkeypatch):
    """What that spares cannot be seen here: it depends on what a process did before."""
    told = []
    library = SimpleNamespace(mallopt=lambda option, value: told.append((option, value)))
    monkeypatch.setattr(loading, "ctypes", SimpleNamespace(CDLL=lambda _: library))
    for small, column in ((loading.SMALL, 1), (0, 2)):
        told.clear()
        monkeypatch.setattr(loading, "SMALL", small)
        reloaded(model)
        assert told == [(row[0], row[column]) for row in loading.MALLOPT]


def reloaded(model: Model, **options: object) -> Model:
    return Model.load(model.spec, LoadOptions(device="cpu", **options))


def copy_tokenizer(model: Model, folder: Path, **changes: object) -> Path:
    """The model's folder again, with other entries in tokenizer_config.json."""
    model.module.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder


def test_the_commit_of_what_was_loaded_is_remembered(model, monkeypatch):
    seen = []
    monkeypatch.setattr(loading, "remember", seen.append)
    reloaded(model)
    assert seen == [model.spec]


def test_without_a_padding_token_the_end_of_text_pads(load, tmp_path):
    model = load("llama")
    folder = copy_tokenizer(model, tmp_path, pad_token=None)
    other = Model.load(resolve(str(folder)), LoadOptions(device="cpu"))
    assert other.tokenizer.pad_token == other.tokenizer.eos_token
    assert largest_difference(other.extract(ITEMS), model.extract(ITEMS)) < 1e-5


def test_a_tokenizer_that_cannot_pad_is_refused(load, tmp_path):
    folder = copy_tokenizer(load("llama"), tmp_path, pad_token=None, eos_token=None)
    with pytest.raises(ModelError, match="neither a padding nor an end-of-text token"):
        Model.load(resolve(str(folder)), LoadOptions(device="cpu"))


TEMPLATE = (
    "{% for m in messages %}Question: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}The answer is:\n{% endif %}"
)


def test_the_chat_template_is_put_around_every_prompt(load, tmp_path):
    plain = load("qwen2")
    folder = copy_tokenizer(plain, tmp_path)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    chat = Model.load(resolve(str(folder)), LoadOptions(device="cpu", chat_template=True))
    wrapped = [
        replace(i, prompt=f"Question: {i.prompt}\nThe answer is:\n", subject=None) for i in ITEMS
    ]
    assert largest_difference(chat.extract(ITEMS), plain.extract(wrapped)) < 1e-5
    ids = chat.encoder.ids(ITEMS)
    subjects = PositionMasks(chat.encoder, ITEMS, ids).of("subject")
    for each, row, inside in zip(ITEMS, ids, subjects, strict=True):
        start, end = each.subject
        at = np.flatnonzero(inside)[-1]
        assert each.prompt[start:end].endswith(chat.tokenizer.decode(row[at]).strip())
    # The reply begins where the template ends: no space before it.
    (tokens,) = chat.encoder.continuations(ITEMS[:1], ids[:1], [["Paris"]])
    assert chat.tokenizer.decode(tokens[0]) == "Paris"


def test_a_chat_template_that_is_not_there_is_an_error(model):
    with pytest.raises(ModelError, match="has no chat template: leave out --chat-template"):
        reloaded(model, chat_template=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"device": "cuda"}, "sees no CUDA GPU here: use --device cpu"),
        ({"device": "tpu"}, "--device 'tpu' is not a device: expected auto, cpu"),
        ({"dtype": "int3"}, "--dtype 'int3' is not known: expected auto, float32"),
    ],
)
def test_options_that_cannot_be_met_are_one_sentence(model, options, sentence, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=sentence):
        Model.load(model.spec, LoadOptions(**{"device": "cpu", **options}))


def test_a_gpu_that_is_not_there_is_told_which_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ModelError, match="the last GPU here is cuda:1: use one from cuda:0 to"):
        loading.choose_device(LoadOptions(device="cuda:2"))


def test_an_architecture_that_cannot_be_read_is_refused_before_its_weights_are_read(tmp_path):
    folder = copy_config_only(tmp_path, {"model_type": "mamba", "num_hidden_layers": 2})
    with pytest.raises(ModelError, match=r"'mamba' cannot be read, because a layer has no atten"):
        Model.load(folder, LoadOptions(device="cpu"))


def test_an_architecture_transformers_does_not_know_is_one_sentence(tmp_path):
    folder = copy_config_only(tmp_path, {"model_type": "perceptron1958"})
    with pytest.raises(ModelError, match=r"architecture of .* is not known to transformers"):
        Model.load(folder, LoadOptions(device="cpu"))


def copy_config_only(folder: Path, config: dict[str, object]) -> ModelSpec:
    organism_tokenizer.word_tokenizer(["Rome"]).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"not weights")
    return ModelSpec("mine", str(folder), is_local=True)


def test_damaged_weights_are_one_sentence(model, tmp_path):
    folder = copy_tokenizer(model, tmp_path)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"the model in .* cannot be loaded") as caught:
        Model.load(resolve(str(folder)), LoadOptions(device="cpu"))
    assert "\n" not in str(caught.value)


def change_weights(model: Model, folder: Path, change: Callable[[dict[str, torch.Tensor]], None]):
    """The model's folder again, with other weights."""
    copy_tokenizer(model, folder)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return resolve(str(folder))


UP = "model.layers.1.mlp.up_proj.weight"


def test_weights_that_are_not_there_are_not_drawn_at_random(model, tmp_path):
    spec = change_weights(model, tmp_path, lambda weights: weights.pop(UP))
    with pytest.raises(
        ModelError, match=rf"incomplete: {UP} is not among them \(1 missing\); copy"
    ):
        Model.load(spec, LoadOptions(device="cpu"))


def test_weights_of_another_shape_are_named(model, tmp_path):
    def cut(weights: dict[str, torch.Tensor]) -> None:
        weights[UP] = weights[UP][:10].clone()

    spec = change_weights(model, tmp_path, cut)
    with pytest.raises(ModelError, match=rf"{UP} has the shape \(10, \d+\), expected \(\d+, \d+\)"):
        Model.load(spec, LoadOptions(device="cpu"))


@pytest.mark.parametrize("length", ["x", {}])
def test_a_setting_of_the_tokenizer_that_fails_in_use_is_refused(tmp_path, length):
    folder = tiny_models.save(tmp_path / "m")
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_max_length": length}))
    with pytest.raises(ModelError, match="tokenizer"):
        loading.load_tokenizer(resolve(str(folder)), LoadOptions())


def test_a_folder_without_tokenizer_files_says_so(model, tmp_path):
    for file in copy_tokenizer(model, tmp_path).glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"its files \(tokenizer.json\) are missing or empty"):
        Model.load(resolve(str(tmp_path)), LoadOptions(device="cpu"))


def test_a_token_the_model_does_not_have_names_the_prompt(model):
    top = max(max(ids) for ids in model.encoder.ids(ITEMS))
    encoder = replace(model.encoder, vocabulary=top)
    with pytest.raises(ModelError, match=rf"has the token {top} and the model ends at {top - 1}"):
        encoder.ids(ITEMS)


def test_a_hub_model_out_of_reach_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="org/absent is not on this machine and the hub cannot be"):
        Model.load(resolve("org/absent"), LoadOptions(device="cpu"))


def test_a_model_too_large_for_memory_is_one_sentence():
    error = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    spec, options = ModelSpec("qwen", "Qwen/Qwen2.5-7B-Instruct"), LoadOptions(device="cuda")
    said = str(loading.explain(error, spec, options, part="model"))
    assert said.startswith("qwen does not fit into the memory of cuda: try --dtype bfloat16")


def test_a_library_that_is_missing_is_no_damage():
    error = ImportError("this tokenizer requires sentencepiece")
    said = loading.explain(error, ModelSpec("mine", "mine"), LoadOptions(), part="tokenizer")
    assert str(said).endswith("(this tokenizer requires sentencepiece): install what it asks for.")


def test_code_of_the_models_own_is_not_run_unasked():
    error = ValueError("please pass the argument `trust_remote_code=True` to allow custom code")
    said = loading.explain(error, ModelSpec("mine", "mine"), LoadOptions(), part="model")
    assert "pass --trust-remote-code" in str(said)


@pytest.mark.skipif(
    not (TOKENIZERS / "qwen2.5").is_dir(),
    reason="no published tokenizers here: set RECALL_TOKENIZERS to a folder that has qwen2.5/",
)
def test_a_shallow_qwen_with_its_real_tokenizer_reads_the_published_prompts(tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZERS / "qwen2.5")
    config = tiny_models.config("qwen2", len(tokenizer), eos_token_id=tokenizer.eos_token_id)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = Model.load(resolve(str(tmp_path)), LoadOptions(device="cpu"))
    items = sets.geography_published().items[:8]
    assert model.encoder.ids(items)[0] == [3838, 374, 279, 6722, 315, 9625, 30]
    assert np.isfinite(model.extract(items).resid).all()
    assert np.isfinite(model.score(items).logit_difference).all()
    worst = model.self_check().worst()
    assert max(v for k, v in worst.items() if k != "zeroed") < 1e-5


ROME = Item("rome", "recall", "Rome", "rome")


def test_a_template_that_prints_the_date_gives_the_same_text_every_day(load, tmp_path):
    folder = copy_tokenizer(load("qwen2"), tmp_path)
    dated = "{{ strftime_now('%d %b %Y') }}: {{ messages[0]['content'] }}"
    (folder / "chat_template.jinja").write_text(dated)
    options = LoadOptions(chat_template=True)
    encoder = Encoder(loading.load_tokenizer(resolve(str(folder)), options), chat=True)
    assert encoder.text(ROME) == "26 Jul 2024: Rome"
    assert chat_template_utils.datetime is datetime  # everybody else has today's date


def test_a_template_that_cannot_be_applied_is_one_sentence(load, tmp_path):
    folder = copy_tokenizer(load("qwen2"), tmp_path)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no users here') }}")
    options = LoadOptions(chat_template=True)
    encoder = Encoder(loading.load_tokenizer(resolve(str(folder)), options), chat=True)
    with pytest.raises(ModelError, match=r"cannot be applied to 'Rome' \(no users here\)"):
        encoder.text(ROME)


OFF = {"enable_thinking": False}
REPLY = "{{ messages[0]['content'] }} Answer:"
THINKS = (  # template, arguments, what is said
    (REPLY + "{% if enable_thinking is false %}<think></think>{% endif %}", {}, "enable_thinking="),
    (REPLY + "{% if enable_thinking is false %}<think></think>{% endif %}", OFF, ""),
    (REPLY + "{% if thinking is not defined %} <think>{% endif %}", {}, "thinking=false"),
    (REPLY + "<think>", {}, "opens every reply with <think>"),
    (REPLY + "<think></think>", {}, ""),
    (REPLY, {}, ""),
)


@pytest.mark.parametrize(("template", "arguments", "said"), THINKS)
def test_a_template_that_lets_the_model_think_is_told(load, tmp_path, template, arguments, said):
    folder = copy_tokenizer(load("qwen2"), tmp_path)
    (folder / "chat_template.jinja").write_text(template)
    given = tuple(arguments.items())
    found = chat.thinking(
        resolve(str(folder)), LoadOptions(chat_template=True, template_args=given)
    )
    assert said in found
    assert bool(found) is bool(said)


def test_arguments_of_the_template_reach_the_text_and_the_identity(load, tmp_path):
    folder = copy_tokenizer(load("qwen2"), tmp_path)
    (folder / "chat_template.jinja").write_text("{{ mood }}: {{ messages[0]['content'] }}")
    spec, found = resolve(str(folder)), []
    for mood in ("glad", "sad"):
        options = LoadOptions(device="cpu", chat_template=True, template_args=(("mood", mood),))
        assert Model.load(spec, options).encoder.text(ROME) == f"{mood}: Rome"
        found.append(Subject(spec, options, Store(tmp_path / "cache")).identity)
    assert found[0]["rendered"] != found[1]["rendered"]
    assert found[0]["template_args"] == {"mood": "glad"}


def test_every_file_of_a_hub_model_is_asked_for_at_one_commit(load, monkeypatch):
    """Tokenizer, configuration, which is read twice, and weights: the branch may move between."""
    model, asked = load("qwen2"), []

    def giving(found):
        def ask(path, **more):
            asked.append((path, more["revision"]))
            return found

        return ask

    report = {"mismatched_keys": [], "missing_keys": []}
    for name, found in (
        ("AutoTokenizer", model.tokenizer),
        ("AutoConfig", model.module.config),
        ("AutoModelForCausalLM", (model.module, report)),
    ):
        monkeypatch.setattr(getattr(transformers, name), "from_pretrained", giving(found))

    def file(path, name, *, revision):
        asked.append((path, revision))
        return Path(model.spec.path) / name

    monkeypatch.setattr("huggingface_hub.hf_hub_download", file)
    commits = iter(("a" * 40, "b" * 40))  # a branch that moves
    now = type("Hub", (), {"model_info": lambda *_, **__: SimpleNamespace(sha=next(commits))})
    monkeypatch.setattr("huggingface_hub.HfApi", now)
    Model.load(ModelSpec("org/name", "org/name"), LoadOptions(device="cpu"))
    assert asked == [("org/name", "a" * 40)] * 4


def test_code_in_another_repository_is_refused_before_it_runs(load, tmp_path):
    folder = copy_tokenizer(load("qwen2"), tmp_path)
    path = folder / "config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoConfig": "o/n--m.Config"}})
    )
    with pytest.raises(ModelError, match=r"code of another repository .*o/n--m\.Config"):
        Model.load(resolve(str(folder)), LoadOptions(device="cpu", trust_remote_code=True))


def post_process(folder: Path, processor: dict[str, object]) -> ModelSpec:
    """The folder's model, with another post_processor in its tokenizer.json."""
    path = folder / "tokenizer.json"
    described = {**json.loads(path.read_text()), "post_processor": processor}
    path.write_text(json.dumps(described))
    return resolve(str(folder))


def around(tokenizer, before: str | None, after: str | None) -> dict[str, object]:
    """A post_processor that puts tokens around every text."""
    special = {
        name: {"id": name, "ids": [tokenizer.convert_tokens_to_ids(name)], "tokens": [name]}
        for name in (before, after)
        if name
    }

    def piece(name: str | None) -> list[dict[str, object]]:
        return [{"SpecialToken": {"id": name, "type_id": 0}}] if name else []

    text = {"Sequence": {"id": "A", "type_id": 0}}
    single = [*piece(before), text, *piece(after)]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 0}}]
    return {
        "type": "TemplateProcessing",
        **{"single": single, "pair": pair, "special_tokens": special},
    }


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_last_token_is_the_prompts_own_though_the_tokenizer_appends_one(
    load, tmp_path, wrapped
):
    plain = load("qwen2")
    end, pad = plain.tokenizer.eos_token, plain.tokenizer.pad_token
    processor = around(plain.tokenizer, pad, end)
    if wrapped:
        processor = {"type": "Sequence", "processors": [processor]}
    spec = post_process(copy_tokenizer(plain, tmp_path), processor)
    tokenizer = loading.load_tokenizer(spec, LoadOptions())
    for item, ids in zip(ITEMS, Encoder(tokenizer).ids(ITEMS), strict=True):
        own = plain.tokenizer(item.prompt).input_ids
        assert ids == [plain.tokenizer.pad_token_id, *own]


def test_a_token_that_cannot_be_left_out_is_refused(load, tmp_path):
    plain = load("qwen2")
    end, pad = plain.tokenizer.eos_token, plain.tokenizer.pad_token
    sep, cls = ([t, plain.tokenizer.convert_tokens_to_ids(t)] for t in (end, pad))
    processor = {"type": "BertProcessing", "sep": sep, "cls": cls}
    spec = post_process(copy_tokenizer(plain, tmp_path), processor)
    with pytest.raises(ModelError, match=r"puts .* after every prompt"):
        loading.load_tokenizer(spec, LoadOptions())


def test_a_prompt_that_begins_with_bos_is_not_given_a_second_one(load, tmp_path):
    plain = load("qwen2")
    first = plain.tokenizer.eos_token
    folder = copy_tokenizer(plain, tmp_path, bos_token=first)
    spec = post_process(folder, around(plain.tokenizer, first, None))
    encoder = Encoder(loading.load_tokenizer(spec, LoadOptions()))
    with_bos = tiny_models.item(f"{first}Rome", subject=(len(first), len(first) + 4))
    without = tiny_models.item("Rome", subject=(0, 4))
    one, other = encoder.ids([with_bos, without])
    assert one == other
    assert one.count(encoder.tokenizer.bos_token_id) == 1
    masks = PositionMasks(encoder, [with_bos, without], [one, other]).of("subject")
    assert [np.flatnonzero(inside).tolist() for inside in masks] == [[1], [1]]
