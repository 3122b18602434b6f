"""Every reader of files that others wrote, a valid file for each, and random ways to spoil one."""

import csv
import datetime
import io
import json
import random
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.numpy
from pyarrow import parquet

from harness.calibration import published
from harness.calibration.record import read_calibration
from harness.calibration.recovery import circuit_of
from harness.compare.past import BaselineError, Past, find
from harness.compare.timeline import compare
from harness.foreign import ForeignError
from harness.materials.files.confounds import confounds_of
from harness.materials.files.reading import read_prompts
from harness.materials.items import MaterialsError
from harness.models import identity
from harness.models.architecture import architecture_of, refuse_code_elsewhere
from harness.models.sizes import size_of
from harness.models.specs import INDEX, LoadOptions, ModelError, resolve
from harness.report.anchors import Anchors
from harness.report.answers import answer_sheets, read_answers
from harness.store.store import Store
from harness.study.plan import Plan
from harness.study.reference_models import StoredVerdicts, shipped
from harness.verdicts import records, samples
from harness.verdicts.components import COMPONENTS_NAME
from tests.support.sample_plots import curve, entry
from tests.support.sample_records import answers, components, sample

CONFIG = {
    "model_type": "qwen2",
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "hidden_size": 32,
    "vocab_size": 99,
    "torch_dtype": "float32",
}
TOKENIZER = {"chat_template": "{{ messages }}", "auto_map": {"AutoTokenizer": ["a.B", None]}}
CIRCUIT = {
    "tasks": {"recall": {"layers": [0], "heads": [[0, 1]], "neurons": {"0": [3]}}},
    "shared": {},
    "bystanders": {},
    "expected": {},
    "why": "planted",
}
PROMPTS = [
    {
        "prompt": f"What is {n} and {n}?",
        "task": ("recall", "reasoning")[n % 2],
        "answer": str(2 * n),
        "distractors": ["7", "9"],
        "pair": f"p{n // 2}",
        "domain": "sums",
    }
    for n in range(12)
]


@dataclass(frozen=True)
class Reader:
    """A reader and the file that it reads.

    Attributes:
        file: Its name, in a folder of its own.
        make: Writes a valid file, and what it needs beside it, into a folder.
        read: Reads that folder as the suite does.
        kind: The error of ours that a bad file gives; None if it must give none.
    """

    file: str
    make: Callable[[Path], None]
    read: Callable[[Path], object]
    kind: type[ForeignError] | None


# ---- prompts


def _prompts_jsonl(folder: Path) -> None:
    (folder / "p.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in PROMPTS))


def _prompts_csv(folder: Path) -> None:
    rows = [{**row, "distractors": "|".join(row["distractors"])} for row in PROMPTS]
    with (folder / "p.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(PROMPTS[0]))
        writer.writeheader()
        writer.writerows(rows)


def _prompts_parquet(folder: Path) -> None:
    parquet.write_table(pa.Table.from_pylist(PROMPTS), folder / "p.parquet")


def _prompts(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        prompts = read_prompts(folder / name)
        return prompts.hash, confounds_of(prompts)

    return read


# ---- models


def _model(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG))
    weights = {"a": np.zeros((3, 4), np.float32), "b": np.ones(5, np.float32)}
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    (folder / INDEX).write_text(
        json.dumps({"weight_map": dict.fromkeys("ab", "model.safetensors")})
    )
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER))
    (folder / "circuit.json").write_text(json.dumps(CIRCUIT))


def _adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/name"}')


def _read_model(folder: Path) -> object:
    spec = resolve(str(folder))
    load = LoadOptions(trust_remote_code=True, chat_template=True)
    refuse_code_elsewhere(spec)
    return (
        architecture_of(spec),
        size_of(spec),
        identity.identity_of(spec, load, folder / "cache"),
        identity.template_identity(spec),
        identity.config_identity(spec),
        identity.same_weights([spec, spec], folder / "cache"),
    )


def _read_circuit(folder: Path) -> object:
    return circuit_of(str(folder))


# ---- runs


def _run(folder: Path) -> None:
    for name, content in _written_run().items():
        (folder / name).write_bytes(content)


@cache
def _written_run() -> dict[str, bytes]:
    """Files of a run by name; to write them anew takes longer than to read them."""
    with tempfile.TemporaryDirectory() as folder:
        _write_run(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _write_run(folder: Path) -> None:
    found = sample(("mini-qwen",))[:3]
    records.write_verdicts(folder, found)
    (folder / records.JSONL_NAME).write_text(
        "".join(f"{json.dumps(verdict.to_json())}\n" for verdict in found[:2])
    )
    records.write_verdicts(folder / records.CONTROLS_NAME, found[:1])
    (folder / records.PLOTS_NAME).write_text(json.dumps([entry(curve()).to_json()]))
    labels = dict.fromkeys(("model", "materials", "claim_id", "prediction_id", "criterion"), "x")
    samples.samples_frame({"e": {"a": 1.0, "b": 2.0}}, **labels).to_parquet(
        folder / samples.SAMPLES_NAME, index=False
    )
    table = components(("mini-qwen",), layers=2, heads=2, neurons=4, claims=("h1", "h2"))
    table.to_parquet(folder / COMPONENTS_NAME, index=False)
    answers().to_parquet(folder / records.ANSWERS_NAME, index=False)


def _read_run(folder: Path) -> object:
    past = find(str(folder), folder / "baselines")
    return past, past.samples(), past.components(), _compared(past)


def _compared(past: Past) -> object:
    return compare([past, past], {}, shared=True, leave_out=True)


def _read_report(folder: Path) -> object:
    sheets = answer_sheets(read_answers(folder), Anchors())
    return records.read_controls(folder), records.read_plots(folder), sheets


def _calibration(folder: Path) -> None:
    record = json.loads(published.RECORD.read_text())
    short = {name: v[:2] if isinstance(v, list) else v for name, v in record.items()}
    (folder / "calibration.json").write_text(json.dumps(short))


def _read_calibration(folder: Path) -> object:
    return read_calibration(folder / "calibration.json")


# ---- the cache

VALUES = np.arange(20, dtype=np.float32).reshape(10, 2)


def _measure(part: slice) -> dict[str, np.ndarray]:
    return {"values": VALUES[part]}


def _fetched(folder: Path) -> None:
    """What the store gives must be right, whatever lies in its files."""
    store = Store(folder / "cache")
    arrays = store.fetch({"a": 1}, 10, _measure, shard_size=4)
    assert np.array_equal(arrays["values"], VALUES)
    assert store.fetch_json({"b": 2}, lambda: {"c": [1, 2.5]}) == {"c": [1, 2.5]}
    assert store.size()


def _weights(folder: Path) -> None:
    _model(folder)
    spec = resolve(str(folder))
    found = identity.weights_identity(spec, folder / "cache")
    known = folder / "known.txt"
    if not known.exists():
        known.write_text(found)
    assert found == known.read_text()


def _control(folder: Path) -> tuple[StoredVerdicts, Any, dict[str, str], Path]:
    model = shipped()[0]
    claim_id, prediction_id = next(iter(model.expected)).split("/")
    stored = StoredVerdicts(Plan(seed=12345), LoadOptions(), folder / "cache")
    return stored, model, {"claim_id": claim_id, "prediction_id": prediction_id}, Path(__file__)


def _save_control(folder: Path) -> None:
    stored, *place = _control(folder)
    stored.save(*place, sample(("mini-qwen",))[0].to_json())


def _find_control(folder: Path) -> object:
    stored, *place = _control(folder)
    found = stored.find(*place)
    return found and records.verdict_of(found)


READERS: dict[str, Reader] = {
    "prompts.jsonl": Reader("p.jsonl", _prompts_jsonl, _prompts("p.jsonl"), MaterialsError),
    "prompts.csv": Reader("p.csv", _prompts_csv, _prompts("p.csv"), MaterialsError),
    "prompts.parquet": Reader("p.parquet", _prompts_parquet, _prompts("p.parquet"), MaterialsError),
    "config": Reader("config.json", _model, _read_model, ModelError),
    "index": Reader(INDEX, _model, _read_model, ModelError),
    "tokenizer": Reader("tokenizer_config.json", _model, _read_model, ModelError),
    "weights": Reader("model.safetensors", _model, _read_model, ModelError),
    "adapter": Reader("adapter_config.json", _adapter, _read_model, ModelError),
    "circuit": Reader("circuit.json", _model, _read_circuit, ModelError),
    "verdicts": Reader(records.JSON_NAME, _run, _read_run, BaselineError),
    "verdict lines": Reader(records.JSONL_NAME, _run, _read_run, BaselineError),
    "samples": Reader(samples.SAMPLES_NAME, _run, _read_run, BaselineError),
    "components": Reader(COMPONENTS_NAME, _run, _read_run, BaselineError),
    "controls": Reader(records.CONTROLS_NAME, _run, _read_report, ForeignError),
    "plots": Reader(records.PLOTS_NAME, _run, _read_report, ForeignError),
    "answers": Reader(records.ANSWERS_NAME, _run, _read_report, ForeignError),
    "calibration": Reader("calibration.json", _calibration, _read_calibration, ForeignError),
    "shard": Reader("cache/*/shard-00001.safetensors", _fetched, _fetched, None),
    "sidecar": Reader("cache/*/shard-00001.json", _fetched, _fetched, None),
    "result": Reader("cache/*/result.json", _fetched, _fetched, None),
    "memo": Reader("cache/weights-identity.json", _weights, _weights, None),
    "stored control": Reader("cache/controls/*/*.json", _save_control, _find_control, None),
}


class Trial:
    """A reader with its valid files, which each attempt finds as they were."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        folder.mkdir(parents=True)
        reader.make(folder)
        self.valid = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.path = next(folder.glob(reader.file))
        self.attempt()

    def attempt(self) -> ForeignError | None:
        """Read the folder; the refusal, if it is one in the project's own words."""
        try:
            with warnings.catch_warnings(action="ignore"):
                self.reader.read(self.folder)
        except ForeignError as refusal:
            if self.reader.kind is None or not isinstance(refusal, self.reader.kind):
                raise
            return refusal
        return None

    def spoil(self, rng: random.Random) -> ForeignError | None:
        """Read it with a file that is spoiled at random."""
        try:
            self.path.write_bytes(spoiled(rng, self.path))
            return self.attempt()
        finally:
            self.restore()

    def restore(self) -> None:
        """Put back what was changed, and take away what was added."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self.valid:
                path.unlink()
        for path, content in self.valid.items():
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)


# ---- spoiling

AWKWARD = (
    *(None, True, 0, -1, 5, 1e300, 1e308, 10**18, 10**400, float("nan"), float("inf"), -0.5),
    *("", " ", "x", "inf", "\ud800", "\x00", "\x1b[2J", "../../etc", "9" * 5000, "[" * 3000),
    *([], {}, [[]], [None], {"": None}, {"name": []}, ["a", 1, None]),
)


def any_value(rng: random.Random, depth: int = 2) -> Any:
    if depth and rng.random() < 0.2:
        return [any_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return rng.choice(AWKWARD)


def changed(rng: random.Random, value: Any) -> Any:
    """The value with something in it replaced, taken away, doubled or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        way = rng.random()
        if way < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if way < 0.2:
            return {**value, rng.choice(("", "new", "\ud800", key * 2)): any_value(rng)}
        return {**value, key: changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        if rng.random() < 0.1:
            return [*value[:at], *value[at + 1 :]]
        return [*value[:at], changed(rng, value[at]), *value[at + 1 :]]
    return any_value(rng)


def broken(rng: random.Random, content: bytes) -> bytes:
    """Some bytes put in, taken out, flipped or cut off."""
    at = rng.randrange(len(content) + 1)
    way = rng.randrange(5)
    if way == 0:
        return content[:at]
    if way == 1:
        put = rng.choice((b"\xff", b"\x00", b"[", b'"', b"\n", b"1e999"))
        return content[:at] + put + content[at:]
    if way == 2:
        return content[:at] + content[at + rng.randrange(1, 9) :]
    if way == 3:
        return rng.randbytes(rng.randrange(80))
    flipped = bytearray(content)
    for at in (rng.randrange(len(content)) for _ in range(3 if content else 0)):
        flipped[at] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def spoiled(rng: random.Random, path: Path) -> bytes:
    """A random bad version of the file, by what kind of file it is."""
    content = path.read_bytes()
    if rng.random() < 0.25:
        return broken(rng, content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        content = SPOIL.get(path.suffix, broken)(rng, content)
    return content


def _json(rng: random.Random, content: bytes) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return broken(rng, content)
    return json.dumps(changed(rng, value)).encode()


def _json_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    return b"\n".join([*lines[:at], _json(rng, lines[at]), *lines[at + 1 :]])


def _csv(rng: random.Random, content: bytes) -> bytes:
    rows = [list(row) for row in csv.reader(io.StringIO(content.decode(errors="replace")))]
    row = rng.choice(rows) if rows else []
    if not row:
        return broken(rng, content)
    row[rng.randrange(len(row))] = str(any_value(rng)).replace("\ud800", "?")
    text = io.StringIO()
    csv.writer(text, escapechar="\\").writerows(rows)
    return text.getvalue().encode()


def _parquet(rng: random.Random, content: bytes) -> bytes:
    try:
        table = parquet.read_table(io.BytesIO(content))
    except Exception:
        return broken(rng, content)
    at = rng.randrange(table.num_columns) if table.num_columns else 0
    if not table.num_columns or rng.random() < 0.2:
        table = table.remove_column(at) if table.num_columns else table
    else:
        column = _array(rng, table.num_rows)
        table = table.set_column(at, table.schema.names[at], column)
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


CELLS = (
    (1.0, float("nan"), float("inf"), 1e308),
    ("a", "", None, "1e400", "\x1b[2J"),
    (2**62, -1, 0, None),
    (b"\xff", b"a"),
    ([], ["a"], ["a", "a"]),
    (None,),
    (datetime.date(1970, 1, 1), datetime.date(9999, 1, 1)),
)


def _array(rng: random.Random, length: int) -> pa.Array:
    cells = rng.choice(CELLS)
    array = pa.array([rng.choice(cells) for _ in range(length)])
    return array.dictionary_encode() if rng.random() < 0.2 and array.type == pa.string() else array


def _safetensors(rng: random.Random, content: bytes) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header, rest = content[8 : 8 + length], content[8 + length :]
    header = _json(rng, header)
    length = rng.choice((len(header), len(header), 2**63, 0, 10**9))
    return length.to_bytes(8, "little") + header + rest


SPOIL: dict[str, Callable[[random.Random, bytes], bytes]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
}
