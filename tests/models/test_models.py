import json
import os
import platform
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from huggingface_hub import errors

from harness.files import DATA
from harness.models import hub as hub_files
from harness.models import identity, sizes, specs
from harness.models.architecture import Architecture, architecture_of
from harness.models.specs import LoadOptions, ModelError, ModelSpec, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path):
    """A local model as far as names and hashes go; the weights are not real."""
    path = tmp_path / "release"
    path.mkdir()
    facts = {
        "model_type": "qwen2",
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "hidden_size": 3584,
        "vocab_size": 152064,
        "torch_dtype": "bfloat16",
    }
    (path / "config.json").write_text(json.dumps(facts))
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "tokenizer.json").write_text("{}")
    return path


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub cache that holds one model, and no network."""
    repo = tmp_path / "hub" / "models--org--name"
    snapshot = repo / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").write_text(
        '{"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 9}'
    )
    (snapshot / "tokenizer.json").write_text("{}")
    (snapshot / "tokenizer_config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return snapshot


def test_an_alias_names_a_hub_model():
    assert resolve("qwen") == ModelSpec("qwen", "Qwen/Qwen2.5-7B-Instruct")
    assert resolve("llama@v2") == ModelSpec("llama@v2", "meta-llama/Llama-3.1-8B-Instruct", "v2")


@pytest.mark.parametrize("name", ["llama3-8b", "gemma2-9b", "mistral", "olmo2"])
def test_every_hub_alias_is_a_hub_id(name):
    assert specs.HUB_ID.fullmatch(resolve(name).path)


def test_an_embedded_name_is_a_folder_of_the_project(monkeypatch, tmp_path, folder):
    (tmp_path / "fixtures" / "organisms").mkdir(parents=True)
    folder.rename(tmp_path / "fixtures" / "organisms" / "mini-qwen")
    monkeypatch.setattr(specs, "DATA", tmp_path)
    spec = resolve("mini-qwen")
    assert spec.is_local
    assert spec.name == "mini-qwen"
    assert spec.path == str(tmp_path / "fixtures/organisms/mini-qwen")


def test_a_hub_id_is_taken_as_it_is():
    assert resolve("org/name@main") == ModelSpec("org/name@main", "org/name", "main")


def test_a_folder_is_resolved_and_may_have_an_at_sign(folder):
    assert resolve(str(folder)) == ModelSpec(str(folder), str(folder), is_local=True)
    renamed = folder.rename(folder.with_name("release@2"))
    assert resolve(str(renamed)).path == str(renamed)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("quen", r"no model is called 'quen': did you mean (mini-)?qwen"),
        ("zzz", r"no model is called 'zzz': known are mini-qwen, .*; a hub id"),
        ("./nowhere", r"there is no folder './nowhere': check the path"),
        ("qwen@", r"ends in '@': name a revision"),
    ],
)
def test_an_unknown_name_says_what_is_near(typed, sentence):
    with pytest.raises(ModelError, match=sentence):
        resolve(typed)


def test_a_folder_has_no_revision(folder):
    with pytest.raises(ModelError, match="is a folder, which has no revision 'v1'"):
        resolve(f"{folder}@v1")


def test_a_folder_without_config_is_no_model(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"has no config\.json, so it is not a model"):
        resolve(str(folder))


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights: expected \*\.safetensors"):
        resolve(str(folder))


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only as a pickle \(pytorch_model\.bin\)"):
        resolve(str(folder))


def test_a_missing_shard_is_named(folder):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / specs.INDEX).write_text(json.dumps(index))
    with pytest.raises(
        ModelError, match=r"names model-2\.safetensors, which is not there \(1 of 2"
    ):
        resolve(str(folder))


OTHER_SHAPES = ("[]", "null", '"x"', "5", "[" * 100_000, "")


@pytest.mark.parametrize(
    "text", [*OTHER_SHAPES, '{"weight_map": [1]}', "{}", '{"weight_map": {"a": 1}}']
)
def test_an_index_of_another_shape_is_one_sentence(folder, text):
    (folder / specs.INDEX).write_text(text)
    with pytest.raises(
        ModelError, match=rf"{specs.INDEX} (has no weight_map|holds|is not a JSON object)"
    ):
        resolve(str(folder))


@pytest.mark.parametrize("text", OTHER_SHAPES)
def test_a_configuration_of_another_shape_is_one_sentence(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json (holds|is not a JSON object)"):
        architecture_of(resolve(str(folder)))


@pytest.mark.parametrize("value", ["x", [8], 0, -1, 1.5, True, {}, 10**400])
@pytest.mark.parametrize("name", ["hidden_size", "num_attention_heads", "intermediate_size"])
def test_a_size_that_is_none_is_one_sentence(folder, name, value):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, name: value}))
    if value == 10**400:
        assert architecture_of(resolve(str(folder)))
        return
    with pytest.raises(ModelError, match=f"states {name} .*, expected a whole number"):
        architecture_of(resolve(str(folder)))


def test_a_text_part_that_is_no_object_is_one_sentence(folder):
    (folder / "config.json").write_text('{"text_config": [1]}')
    with pytest.raises(ModelError, match=r"states text_config \[1\], expected a JSON object"):
        architecture_of(resolve(str(folder)))


@pytest.mark.parametrize(
    "header", [b"[]", b"null", b'{"a": []}', b'{"a": {"data_offsets": 5}}', b""]
)
def test_a_weight_file_with_another_header_is_one_sentence(folder, header):
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        sizes.size_of(resolve(str(folder)))


def test_links_that_lead_nowhere_are_one_sentence(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"incomplete: model\.safetensors is a folder or a link"):
        resolve(str(folder))
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(ModelError, match="check the path given to --model"):
        resolve(str(tmp_path / "a"))


@pytest.mark.parametrize("typed", ["./" + "x" * 5_000, "x" * 5_000, "a\0b", "~nobody-here/model"])
def test_a_name_that_is_no_path_is_one_sentence(typed):
    with pytest.raises(ModelError) as caught:
        resolve(typed)
    assert "\n" not in str(caught.value)


def test_an_adapter_asks_to_be_merged_into_its_base(folder):
    (folder / specs.ADAPTER).write_text('{"base_model_name_or_path": "org/base"}')
    with pytest.raises(ModelError, match=r"is an adapter to org/base, .*: merge the two"):
        resolve(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="is an adapter to org/base"):
        resolve(str(folder))


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "fp8", None])
@pytest.mark.parametrize("part", ["text_config", None])
def test_quantised_weights_are_refused_with_their_method(folder, method, part):
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, "bits": 4}
    (folder / "config.json").write_text(json.dumps({part: config} if part else config))
    said = rf"is quantised \({method or 'method not stated'}\), and only plain weights"
    with pytest.raises(ModelError, match=said):
        architecture_of(resolve(str(folder)))


def test_a_hub_model_with_pickles_only_says_so(hub, monkeypatch):
    spec = hub_files.pinned(resolve("org/name"))
    assert hub_files.pickle_error(spec) is None
    monkeypatch.setattr(
        "huggingface_hub.HfApi.list_repo_files", lambda *_, **__: ["pytorch_model.bin"]
    )
    said = f"only as a pickle (pytorch_model.bin) at revision {COMMIT}"
    assert said in str(hub_files.pickle_error(spec))
    (hub / "model.safetensors").write_bytes(b"")
    assert hub_files.pickle_error(spec) is None


def test_a_hub_adapter_says_so(tmp_path, monkeypatch):
    (tmp_path / specs.ADAPTER).write_text("{}")

    def download(_, name, **__):
        if name != specs.ADAPTER:
            raise errors.EntryNotFoundError.__new__(errors.EntryNotFoundError)
        return tmp_path / name

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(ModelError, match="org/absent is an adapter to its base model"):
        hub_files.config_file(resolve("org/absent"))


def test_every_message_is_one_sentence_on_one_line(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError) as caught:
        architecture_of(resolve(str(folder)))
    assert "\n" not in str(caught.value)
    assert "is not a JSON object: not JSON" in str(caught.value)


def test_the_identity_of_a_folder_follows_its_bytes_and_hashes_each_once(
    folder, tmp_path, monkeypatch
):
    spec = resolve(str(folder))
    before = identity.weights_identity(spec, tmp_path / "cache")
    assert before.startswith("sha256:")
    assert identity.weights_identity(spec, tmp_path / "other") == before
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed again"))
        assert identity.weights_identity(spec, tmp_path / "cache") == before
    (folder / "model.safetensors").write_bytes(b"weighty")
    assert identity.weights_identity(spec, tmp_path / "cache") != before


def test_other_weights_with_the_size_and_time_of_the_old_ones_are_another_model(folder, tmp_path):
    spec, weights = resolve(str(folder)), folder / "model.safetensors"
    before, state = identity.weights_identity(spec, tmp_path), weights.stat()
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    changed = identity.weights_identity(spec, tmp_path)
    assert changed != before
    other = folder / "other"
    other.write_bytes(b"weights")
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(weights)
    assert identity.weights_identity(spec, tmp_path) == before


SHAPES = ("", "{", "[]", "null", "5", '"x"', "[" * 100_000)
MEMOS = (*SHAPES, '{"FILE": []}', '{"FILE": {"sha256": 5}}')
NO_HASHES = (5, None, "", "x" * 64, ["a"], 1e400, "\ud800")


@pytest.mark.parametrize("memo", MEMOS, ids=lambda text: text[:20] or "empty")
def test_a_damaged_memo_is_written_anew(folder, tmp_path, memo):
    spec = resolve(str(folder))
    before = identity.weights_identity(spec, tmp_path)
    known = (tmp_path / identity.FILES_HASHED).read_text()
    text = memo.replace("FILE", f"{platform.node()} {folder / 'model.safetensors'}")
    (tmp_path / identity.FILES_HASHED).write_text(text)
    assert identity.weights_identity(spec, tmp_path) == before
    assert (tmp_path / identity.FILES_HASHED).read_text() == known
    assert len(list(tmp_path.glob(f"{identity.FILES_HASHED}*"))) == 1


@pytest.mark.parametrize("sha256", NO_HASHES, ids=repr)
def test_a_row_of_the_memo_whose_hash_is_none_is_computed_anew(folder, tmp_path, sha256):
    spec = resolve(str(folder))
    before = identity.weights_identity(spec, tmp_path)
    memo = tmp_path / identity.FILES_HASHED
    rows = json.loads(memo.read_text())
    memo.write_text(json.dumps({place: {**row, "sha256": sha256} for place, row in rows.items()}))
    assert identity.weights_identity(spec, tmp_path) == before
    assert json.loads(memo.read_text()) == rows


def test_machines_that_share_a_cache_do_not_take_each_others_hashes(folder, tmp_path, monkeypatch):
    spec = resolve(str(folder))
    before = identity.weights_identity(spec, tmp_path)
    memo = tmp_path / identity.FILES_HASHED
    rows = json.loads(memo.read_text())
    memo.write_text(json.dumps({p: {**row, "sha256": "0" * 64} for p, row in rows.items()}))
    monkeypatch.setattr("platform.node", lambda: "another")
    assert identity.weights_identity(spec, tmp_path) == before
    assert len(json.loads(memo.read_text())) == 2 * len(rows)


def test_without_a_memo_that_can_be_written_the_files_are_hashed_each_time(folder, tmp_path):
    spec = resolve(str(folder))
    before = identity.weights_identity(spec, tmp_path / "cache")
    (tmp_path / "memo-is-a-folder" / identity.FILES_HASHED).mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for cache in (tmp_path / "memo-is-a-folder", tmp_path / "file", tmp_path / "file" / "cache"):
        assert identity.weights_identity(spec, cache) == before


def test_a_cached_hub_model_is_known_by_its_commit_without_network(hub, tmp_path):
    spec = resolve("org/name")
    assert hub_files.local_folder(spec) == hub
    assert identity.weights_identity(spec, tmp_path) == f"hub:{COMMIT}"
    assert len(identity.tokenizer_identity(spec)) == 64
    assert architecture_of(spec).neurons == 32  # GPT-2's is four times the width


class MovingHub:
    """A hub whose main branch moves with every question."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def model_info(self, path, *, timeout, **_):
        assert timeout
        self.asked.append(path)
        return SimpleNamespace(sha=f"{len(self.asked):040x}")


@pytest.fixture
def moving_hub(monkeypatch):
    moving = MovingHub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: moving)
    return moving


def test_a_hub_model_is_fixed_to_the_commit_that_its_branch_had(hub, moving_hub, tmp_path):
    now = hub_files.pinned(resolve("org/name"))
    assert (now.commit, now.unasked, now.fixed) == (f"{1:040x}", False, f"{1:040x}")
    assert hub_files.pinned(now) == now
    assert identity.weights_identity(now, tmp_path) == f"hub:{1:040x}"
    assert moving_hub.asked == ["org/name"]
    assert hub_files.local_folder(now) is None  # another commit than the one on this machine
    assert hub_files.local_folder(hub_files.pinned(resolve(f"org/name@{COMMIT}"))) == hub
    assert moving_hub.asked == ["org/name"]


def test_without_network_the_commit_is_the_one_on_this_machine(hub):
    found = hub_files.pinned(resolve("org/name"))
    assert (found.commit, found.unasked) == (COMMIT, True)
    assert hub_files.local_folder(found) == hub
    assert hub_files.pinned(resolve("org/other")) == resolve("org/other")


@pytest.mark.parametrize("name", ["org/name", "org/name@dev"])
def test_what_a_branch_was_is_remembered_for_runs_without_network(
    hub, moving_hub, monkeypatch, name
):
    now = hub_files.pinned(resolve(name))
    hub_files.remember(now)  # nothing of that commit is here
    assert [ref.read_text() for ref in hub.parents[1].glob("refs/*")] == [COMMIT]
    fetched = shutil.copytree(hub, hub.with_name(now.commit))
    hub_files.remember(now)
    monkeypatch.setattr(moving_hub, "model_info", None)
    again = hub_files.pinned(resolve(name))
    assert (again.commit, again.unasked) == (now.commit, True)
    assert hub_files.local_folder(again) == fetched


def test_models_with_the_same_weights_are_told(folder, tmp_path):
    step, other = (folder.with_name(name) for name in ("step", "other"))
    shutil.copytree(folder, step)
    shutil.copytree(folder, other)
    (other / "model.safetensors").write_bytes(b"WEIGHTS")
    models = [resolve(str(path)) for path in (folder, other, step)]
    assert identity.same_weights(models, tmp_path) == {str(step): str(folder)}
    assert identity.same_weights([*models[:2], resolve("org/absent")], tmp_path) == {}


@pytest.mark.usefixtures("hub")
def test_an_absent_hub_model_without_network_is_one_sentence(tmp_path):
    spec = resolve("org/other")
    assert hub_files.local_folder(spec) is None
    for ask in (
        lambda: identity.weights_identity(spec, tmp_path),
        lambda: identity.tokenizer_identity(spec),
        lambda: architecture_of(spec),
    ):
        with pytest.raises(ModelError, match="org/other is not on this machine and the hub cannot"):
            ask()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (errors.GatedRepoError, "is gated: accept its licence"),
        (errors.RepositoryNotFoundError, "the hub has no model 'org/name', or it is private"),
        (errors.RevisionNotFoundError, "org/name has no revision 'v9'"),
        (ConnectionError, "at revision 'v9' is not on this machine and the hub cannot be reached"),
    ],
)
def test_what_the_hub_answers_becomes_one_sentence(kind, sentence):
    cause = kind.__new__(kind)  # their constructors want a response of the network
    wrapped = OSError("something long")
    wrapped.__cause__ = cause
    spec = ModelSpec("org/name@v9", "org/name", "v9")
    assert sentence in str(hub_files.hub_error(spec, wrapped))


def test_the_tokenizer_has_an_identity_of_its_own(folder):
    spec = resolve(str(folder))
    before = identity.tokenizer_identity(spec)
    (folder / "model.safetensors").write_bytes(b"others")
    assert identity.tokenizer_identity(spec) == before
    (folder / "tokenizer.json").write_text('{"a": 1}')
    assert identity.tokenizer_identity(spec) != before


@pytest.mark.parametrize(
    "name",
    [
        *("chat_template.jinja", "additional_chat_templates/tool_use.jinja", "vocab.json"),
        *("special_tokens_map.json", "merges.txt", "tokenizer.model", "added_tokens.json"),
    ],
)
def test_every_file_that_makes_the_text_is_in_the_tokenizers_identity(folder, name):
    spec, path = resolve(str(folder)), folder / name
    found = [identity.tokenizer_identity(spec)]
    path.parent.mkdir(exist_ok=True)
    for text in ("one", "two"):
        path.write_text(text)
        found.append(identity.tokenizer_identity(spec))
    assert len(set(found)) == 3


def test_a_chat_template_has_an_identity_wherever_it_is(folder):
    spec = resolve(str(folder))
    assert identity.template_identity(spec) is None
    found = []
    for name, text in (
        ("tokenizer_config.json", '{"chat_template": "{{ messages }}"}'),
        ("chat_template.jinja", "{{ messages[0] }}"),
        ("chat_template.jinja", "{{ messages[1] }}"),
    ):
        (folder / name).write_text(text)
        found.append(identity.template_identity(spec))
    assert len(set(found)) == 3
    (folder / "tokenizer.json").write_text('{"a": 1}')
    assert identity.template_identity(spec) == found[-1]


def test_the_architecture_is_read_from_the_configuration(folder):
    assert architecture_of(resolve(str(folder))) == Architecture(
        "qwen2",
        layers=28,
        heads=28,
        kv_heads=4,
        neurons=18944,
        d_model=3584,
        d_vocab=152064,
        dtype="bfloat16",
    )


def test_a_size_that_the_configuration_lacks_is_named(folder):
    (folder / "config.json").write_text('{"model_type": "qwen2", "hidden_size": 8}')
    with pytest.raises(ModelError, match="states no num_attention_heads"):
        architecture_of(resolve(str(folder)))


def test_nothing_here_imports_torch(folder, tmp_path):
    code = (
        "import sys; from pathlib import Path; "
        "from harness.models import architecture, hub, identity, sizes, specs; "
        "s = specs.resolve(sys.argv[1]); identity.weights_identity(s, Path(sys.argv[2])); "
        "identity.tokenizer_identity(s); architecture.architecture_of(s); "
        "hub.local_folder(specs.resolve('org/absent')); "
        "sys.exit(' '.join({'torch', 'transformers', 'nnsight'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(DATA)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_code_of_the_model_is_part_of_its_identity(folder, tmp_path):
    """Other code is another identity, and so is code that is run instead of transformers' own."""
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {"AutoModel": "m.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    spec, found = resolve(str(folder)), []
    for code in ("a = 1", "a = 2"):
        (folder / "m.py").write_text(code)
        for trusted in (False, True):
            load = LoadOptions(trust_remote_code=trusted)
            found.append(json.dumps(identity.identity_of(spec, load, tmp_path), sort_keys=True))
    assert len(set(found)) == 4


@pytest.mark.parametrize("change", [{"dtype": "float16"}, {"chat_template": True}])
def test_how_a_model_is_loaded_is_part_of_its_identity(folder, tmp_path, change):
    spec = resolve(str(folder))
    found = [identity.identity_of(spec, LoadOptions(**how), tmp_path) for how in ({}, change)]
    assert found[0] != found[1]
    assert {name: found[1][name] for name in change} == change


def test_where_generated_text_ends_is_part_of_the_identity(folder, tmp_path):
    spec = resolve(str(folder))
    before = identity.weights_identity(spec, tmp_path)
    (folder / "generation_config.json").write_text('{"eos_token_id": 5}')
    assert identity.weights_identity(spec, tmp_path) != before


def test_the_content_of_weights_is_that_of_another_release_with_the_same(folder, tmp_path):
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    config = json.loads((other / "config.json").read_text()) | {"x": 1}
    (other / "config.json").write_text(json.dumps(config))
    first, second = (resolve(str(path)) for path in (folder, other))
    content = identity.content_identity(first, tmp_path)
    assert content == identity.content_identity(second, tmp_path)
    assert identity.weights_identity(first, tmp_path) != identity.weights_identity(second, tmp_path)
    (other / "model.safetensors").write_bytes(b"others.")
    assert identity.content_identity(second, tmp_path) != content
    assert identity.content_identity(ModelSpec("o/n", "o/n", commit="a" * 40), tmp_path) is None
