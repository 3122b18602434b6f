"""`models`, `hypotheses`, `doctor` and `report`: what can be looked at without a run."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from harness.commands import COMMANDS, machine, main
from harness.commands import doctor as doctor_command
from harness.commands import hypotheses as listing
from harness.commands.machine import Device, Library
from harness.commands.models import in_bytes
from harness.models import architecture, sizes, specs
from harness.models.specs import ModelError
from harness.study.cost import Kind
from harness.study.speed import MATERIALS, Speed
from harness.verdicts import records
from tests.support.sample_records import components, sample

ORGANISMS = Path(__file__).parents[2] / "fixtures" / "organisms"

ROOT = Path(__file__).resolve().parents[2]
GB = 1_000_000_000
KNOWN = Speed(dict.fromkeys(get_args(Kind), 1000.0), dict.fromkeys(MATERIALS, 40.0))


@pytest.fixture
def harness(capsys):
    """Status, output and errors of a command."""

    def run(*arguments):
        status = main(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.mark.parametrize("command", [c.__name__.rpartition(".")[2] for c in COMMANDS])
def test_every_command_teaches_by_example(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"python -m harness {command}" in capsys.readouterr().out


# ---- models


def test_models_lists_every_alias_and_the_size_of_what_is_here(harness):
    status, out, _ = harness("models")
    assert status == 0
    for table in specs.aliases().values():
        for alias, path in table.items():
            assert f"{alias} " in out
            assert path in out
    assert "weights are written when it is loaded" in out
    mini = next(line for line in out.splitlines() if line.strip().startswith("mini-qwen"))
    card = json.loads((ORGANISMS / "mini-qwen" / "card.json").read_text(encoding="utf-8"))
    size = (ORGANISMS / "mini-qwen" / "model.safetensors").stat().st_size
    shape = "4 layers x 4 heads, 384 neurons"
    assert (
        f"qwen2, {card['parameters'] / 1e6:.1f} M parameters, {shape}, {size / 1e6:.1f} MB" in mini
    )


SHAPES = {
    "Qwen2.5-7B": (
        *({"model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28},),
        *({"num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944},),
        *({"vocab_size": 152064, "tie_word_embeddings": False}, 7_615_616_512),
    ),
    "Llama-3.1-8B": (
        *({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32},),
        *({"num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336},),
        *({"vocab_size": 128256, "tie_word_embeddings": False}, 8_030_261_248),
    ),
    "gpt2": (
        *({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12},),
        *({"vocab_size": 50257, "n_positions": 1024}, {}, 124_439_808),
    ),
    "Mixtral-8x7B": (
        *({"model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32},),
        *({"num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336},),
        *({"vocab_size": 32000, "num_local_experts": 8, "tie_word_embeddings": False},),
        46_702_792_704,
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_from_a_configuration_are_those_that_were_published(name):
    *parts, published = SHAPES[name]
    config = {key: value for part in parts for key, value in part.items()}
    assert sizes.parameters_of(config, name) == pytest.approx(published, rel=2e-3)


@pytest.mark.parametrize(("name", "kept"), [("mini-qwen", "float32"), ("mini-llama", "float16")])
def test_parameters_of_files_are_counted(name, kept):
    size = sizes.size_of(specs.resolve(name))
    assert size.exact
    assert size.on_disk == pytest.approx(size.needs(kept), rel=0.01)
    config = architecture.configuration(specs.resolve(name))
    assert sizes.parameters_of(config, name) == pytest.approx(size.parameters, rel=2e-3)


def test_a_configuration_without_sizes_and_a_torn_file_are_named(tmp_path):
    with pytest.raises(ModelError, match="'x' states no hidden_size"):
        sizes.parameters_of({}, "x")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ModelError, match=r"model\.safetensors is not a whole safetensors file"):
        sizes.size_of(specs.resolve(str(tmp_path)))


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (5_514_384, "5.5 MB"), (152e9, "152 GB"), (3.2e15, "3200 TB")],
)
def test_bytes_are_short(number, text):
    assert in_bytes(number) == text


# ---- hypotheses


def test_every_prediction_is_listed_with_its_criterion(harness, monkeypatch):
    monkeypatch.chdir(ROOT)
    status, out, _ = harness("hypotheses", "--plan")
    assert status == 0
    for path in (ROOT / "hypotheses").glob("test_*.py"):
        assert f"    hypotheses/{path.name}\n" in out
        claim = listing.read_claim(path)
        assert claim.predictions
        assert all(p.criterion in ("published", "controlled") for p in claim.predictions)
    assert "test_types_hold_over_training_folds  for each kind" in out
    assert "plan        GATE = 0.6" in out


def test_a_file_is_read_and_not_run(tmp_path, harness):
    path = tmp_path / "test_h9_mine.py"
    path.write_text(
        '''"""Mine holds."""
import nothing_of_that_name
A, B = 1, 2

@pytest.mark.criterion("published")
def test_one(study, verdict):
    """One holds.

    More of it.
    """

def test_two(verdict):
    """Two names no criterion."""

def test_no_prediction():
    pass
'''
    )
    status, out, _ = harness("hypotheses", str(path), "--plan")
    assert status == 1
    assert out.startswith("h9  Mine holds.\n")
    assert "published   test_one\n                One holds.\n" in out
    assert "NO CRITERIONtest_two" in out
    assert "A, B = (1, 2)" in out
    assert "test_no_prediction" not in out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("none.py", "there is no file or folder"), (".", "holds no hypothesis files")],
)
def test_nothing_to_list_is_status_2(tmp_path, harness, name, sentence):
    status, _, err = harness("hypotheses", str(tmp_path / name))
    assert status == 2
    assert sentence in err
    (tmp_path / "test_h1_x.py").write_text("def")
    assert "is not Python" in harness("hypotheses", str(tmp_path))[2]


# ---- doctor


@pytest.fixture
def with_devices(monkeypatch):
    def put(*devices):
        monkeypatch.setattr(machine, "devices", lambda: list(devices))

    return put


CPU = Device("cpu", "2 threads", 8 * GB)
QWEN = architecture.Architecture("qwen2", 28, 28, 4, 18944, 3584, 152064, "bfloat16")
GPU = Device("cuda:0", "H", 20 * GB)


def test_this_machine_runs_the_embedded_models(harness, tmp_path):
    status, out, _ = harness("doctor", "--model", "mini-qwen", f"--cache-dir={tmp_path}")
    assert status == 0, out
    assert "ok    python" in out
    assert "ok    libraries" in out
    assert f"ok    cache       {tmp_path}: 0 B used" in out
    assert "ok    device      cpu" in out
    assert re.search(r"mini-qwen   2\.\d M parameters, [89]\.\d MB in float32: fits", out)


def test_the_cache_is_that_of_a_run(harness, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "here"))
    _, out, _ = harness("doctor")
    assert f"cache       {tmp_path / 'here'}: " in out


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ([], 1, "15.2 GB in bfloat16: fits cuda:0 alone, but not with an untrained twin beside it"),
        (["--twins=0"], 0, "fits cuda:0"),
        (["--dtype=float32"], 1, "30.5 GB in float32: cuda:0 has 20.0 GB free; --dtype bfloat16"),
        (["--device=cpu", "--twins=0"], 1, "cpu has 8.0 GB free; --device-map auto spreads it"),
        (["--device=cuda:1"], 1, "--device cuda:1 is not here: there is cuda:0, cpu"),
    ],
)
def test_weights_are_held_against_what_is_free(
    harness, with_devices, monkeypatch, options, status, said
):
    with_devices(GPU, CPU)
    monkeypatch.setattr(sizes, "size_of", lambda _: sizes.Size(7_615_616_512, True, 1))
    monkeypatch.setattr(architecture, "architecture_of", lambda _: QWEN)
    monkeypatch.setattr(machine, "disk_free", lambda _: 100 * GB)  # not what this machine has
    monkeypatch.setattr(doctor_command, "speed_before", lambda *_: KNOWN)
    found, out, _ = harness("doctor", "--model=mini-qwen", *options)
    assert said in out
    assert found == status


def cut_off(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lose_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def lose_the_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_off, r"not a whole safetensors file \(cut off: [\d,]+ of [\d,]+ bytes\): copy it"),
        (lose_a_tensor, r"incomplete: [\d,]+ numbers, and its config.json asks for [\d,]+; copy"),
        (lose_the_tokenizer, r"turns text into nothing: its files \(tokenizer.json\) are missing"),
    ],
)
def test_a_damaged_folder_would_not_run(harness, tmp_path, damage, said):
    folder = shutil.copytree(specs.resolve("mini-qwen").path, tmp_path / "model")
    damage(folder)
    status, out, _ = harness("doctor", f"--model={folder}")
    assert status == 1
    assert re.search(rf"no    {folder} .*{said}", out)


def test_what_cannot_be_counted_without_its_code_is_not_called_damaged(harness, tmp_path):
    folder = shutil.copytree(specs.resolve("mini-qwen").path, tmp_path / "model")
    lose_a_tensor(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {}}))
    status, out, _ = harness("doctor", f"--model={folder}")
    assert status == 0, out


def test_a_quantised_model_would_not_run(harness, tmp_path):
    folder = shutil.copytree(specs.resolve("mini-qwen").path, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    quantised = {**config, "quantization_config": {"quant_method": "gptq"}}
    (folder / "config.json").write_text(json.dumps(quantised))
    status, out, _ = harness("doctor", f"--model={folder}")
    assert status == 1
    assert f"{folder} is quantised (gptq), and only plain weights can be measured" in out


def test_an_architecture_that_is_not_supported_would_not_run(harness, tmp_path):
    folder = shutil.copytree(specs.resolve("mini-qwen").path, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))
    status, out, _ = harness("doctor", f"--model={folder}")
    assert status == 1
    assert out.count("a model of the architecture 'mamba' cannot be read") == 1


def test_all_that_is_wrong_with_a_folder_is_said_at_once(harness, tmp_path):
    folder = shutil.copytree(specs.resolve("mini-qwen").path, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    quantised = {**config, "quantization_config": {"quant_method": "awq"}}
    (folder / "config.json").write_text(json.dumps(quantised))
    cut_off(folder)
    lose_the_tokenizer(folder)
    status, out, _ = harness("doctor", f"--model={folder}")
    assert status == 1
    rows = [line for line in out.splitlines() if line.startswith(f"no    {folder} ")]
    said = ("whole safetensors file", "is quantised (awq)", "turns text into nothing")
    assert [words in row for words, row in zip(said, rows, strict=True)] == [True] * 3
    assert f"{folder} {folder} is" not in out  # the name once


def test_what_a_run_stores_is_held_against_the_disk(harness, with_devices, monkeypatch):
    with_devices(Device("cpu", "", 99 * GB))
    monkeypatch.setattr(sizes, "size_of", lambda _: sizes.Size(7_615_616_512, False, None))
    monkeypatch.setattr(architecture, "architecture_of", lambda _: QWEN)
    # 800 prompts by the model and three twins, 28 layers of 2 x 18,944 + 3,584 + ... numbers
    monkeypatch.setattr(machine, "disk_free", lambda _: 14 * GB)
    _, out, _ = harness("doctor", "--model=llama")
    assert "no    llama       a run stores 14.9 GB or more in " in out
    _, out, _ = harness("doctor", "--model=llama", "--twins=0")
    assert "note  llama       a run stores 3.7 GB or more in " in out


def test_a_model_that_cannot_be_had_would_not_run(harness, with_devices, monkeypatch):
    with_devices(CPU)

    def gated(_):
        raise ModelError("meta-llama/x is gated: accept its licence.")

    monkeypatch.setattr(sizes, "size_of", gated)
    # The hub is asked once: each time may take seconds where it does not answer.
    whole = architecture.configuration
    monkeypatch.setattr(
        architecture,
        "configuration",
        lambda spec: pytest.fail("asked again") if spec.name == "llama" else whole(spec),
    )
    status, out, _ = harness("doctor", "--model=llama")
    assert status == 1
    assert "no    llama       meta-llama/x is gated: accept its licence." in out


def test_a_download_that_does_not_fit_on_the_disk_would_not_run(harness, with_devices, monkeypatch):
    with_devices(Device("cpu", "", 99 * GB))
    monkeypatch.setattr(sizes, "size_of", lambda _: sizes.Size(8_000_000_000, False, None))
    monkeypatch.setattr(architecture, "architecture_of", lambda _: QWEN)
    for free, status, mark in ((100 * GB, 0, "note"), (GB, 1, "no")):
        monkeypatch.setattr(machine, "disk_free", lambda _, free=free: free)
        found, out, _ = harness("doctor", "--model=llama")
        assert found == status
        line = next(line for line in out.splitlines() if "not downloaded" in line)
        assert line.startswith(f"{mark:<6}llama")
        assert "about 8.0 B parameters" in out


def test_a_missing_library_would_not_run_and_another_version_is_a_note(harness, monkeypatch):
    found = [
        Library("torch", "2.13.0+cpu", ">=2.6", "2.13.0"),
        Library("numpy", "2.5.0", ">=2.0", "2.4.6"),
        Library("nnsight", "0.9.1", "<0.9,>=0.8.1", "0.8.1"),
        Library("plotly", None, ">=6.0", "7.1.0"),
    ]
    monkeypatch.setattr(machine, "installed_libraries", lambda: found)
    status, out, _ = harness("doctor")
    assert status == 1
    assert "no    nnsight     0.9.1; required: <0.9,>=0.8.1. Run: pip install" in out
    assert "no    plotly      not installed; required: >=6.0. Run: pip install" in out
    assert "ok    libraries   2 of 4 as asked for" in out
    assert "not what everything was measured with: numpy 2.5.0 (2.4.6)\n" in out


def test_the_libraries_are_those_the_project_names():
    found = {library.name: library for library in machine.installed_libraries()}
    assert {"torch", "transformers", "nnsight", "jinja2"} <= set(found)
    assert all(library.works and library.pinned for library in found.values())


def test_a_cache_that_cannot_be_written_would_not_run(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda *_: False)
    check = doctor_command._cache(tmp_path / "a" / "b")
    assert check.mark == "no"
    assert "choose another --cache-dir" in check.text


def test_a_container_may_have_less_memory_than_its_machine(monkeypatch, tmp_path):
    limit, used = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(machine, "MEMORY_LIMIT", limit)
    monkeypatch.setattr(machine, "MEMORY_USED", used)
    whole = machine.memory_free()
    limit.write_text("5000\n")
    used.write_text("2000\n")
    assert machine.memory_free() == 3000
    limit.write_text("max\n")
    assert machine.memory_free() == pytest.approx(whole, rel=0.2)


def test_an_unknown_model_is_a_mistake(harness):
    status, _, err = harness("doctor", "--model", "mini-qwem")
    assert status == 2
    assert "did you mean mini-qwen" in err


# ---- report


def test_a_report_is_written_again_from_its_files(tmp_path, harness):
    records.write_verdicts(tmp_path, sample())
    components().to_parquet(tmp_path / "components.parquet", index=False)
    status, out, _ = harness("report", str(tmp_path))
    assert (status, out) == (0, f"report: {tmp_path / 'report.html'}\n")
    first = (tmp_path / "report.html").read_bytes()
    assert harness("report", str(tmp_path), "--output", str(tmp_path / "b.html"))[0] == 0
    assert (tmp_path / "b.html").read_bytes() == first


def test_a_folder_without_verdicts_or_with_damaged_ones_is_one_sentence(tmp_path, harness):
    assert "is not a folder" in harness("report", str(tmp_path / "none"))[2]
    status, _, err = harness("report", str(tmp_path))
    assert (status, err.count("\n")) == (2, 1)
    assert "holds neither verdicts.json nor verdicts.jsonl" in err
    (tmp_path / "verdicts.json").write_text("{]")
    assert (
        "verdicts.json is not a file of verdicts: not JSON" in harness("report", str(tmp_path))[2]
    )


def test_a_model_card_is_written_and_the_page_left_alone(tmp_path, harness):
    records.write_verdicts(tmp_path, sample())
    status, out, _ = harness("report", str(tmp_path), "--md")
    assert (status, out) == (0, f"model card: {tmp_path / 'report.md'}\n")
    assert not (tmp_path / "report.html").exists()
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert harness("report", str(tmp_path), "--md", "-")[1] == text
    other = tmp_path / "card.md"
    assert harness("report", str(tmp_path), "--md", str(other))[0] == 0
    assert other.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("suffix", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_components_are_written_one_file_a_claim_and_model(tmp_path, harness, suffix, read):
    table = components(("org/name@1", "org name@1"))
    table.to_parquet(tmp_path / "components.parquet", index=False)
    status, out, _ = harness("report", str(tmp_path), "--components", suffix)
    assert status == 0
    names = sorted(path.name for path in (tmp_path / "components").iterdir())
    assert names == [f"h{n}_org-name-1{again}.{suffix}" for n in (1, 2, 3) for again in ("-2", "")]
    assert out.count("components: ") == 6
    found = read(tmp_path / "components" / f"h2_org-name-1.{suffix}")
    assert {*found.columns} == {*table.columns, "stack"}  # that older runs do not have
    assert len(found) == 2 * 4 * 16


def test_components_that_were_not_saved_are_one_sentence(tmp_path, harness):
    status, _, err = harness("report", str(tmp_path), "--components", "csv")
    assert status == 2
    assert "this run saved no components" in err
