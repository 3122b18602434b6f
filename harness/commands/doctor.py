"""`python -m harness doctor`: whether the suite runs here, and whether a model fits."""

import argparse
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from harness.activations.features import HEAD_METRICS, LAYER_FEATURES
from harness.commands import machine
from harness.commands.machine import Device
from harness.commands.models import in_bytes, parameter_text
from harness.files import DATA
from harness.models import architecture, sizes, specs
from harness.models.architecture import Architecture
from harness.models.recipes import on_disk
from harness.models.sizes import BYTES
from harness.models.specs import LoadOptions, ModelError, ModelSpec
from harness.store.store import Store, user_cache
from harness.study.forecast import Forecast, all_asked, at_speed, planned
from harness.study.plan import Plan
from harness.study.reference_models import StoredVerdicts, shipped
from harness.study.speed import speed_before

HELP = """\
Checks Python and libraries against the versions that the project requires (pyproject.toml) and was
measured with (constraints.txt), lists devices with their free memory, and checks the cache. With
--model it also checks that the architecture is supported, that the weights are plain and complete,
the tokenizer, and the disk that measurements need, and compares the memory that the weights need
(parameters x bytes of the dtype; twice that with an untrained twin) with the free memory. A model
that is here and fits is loaded for a few seconds, to say what all claims on it would take.

Marks: ok; note: little or no effect; no: a run would fail.
Exit status: 0 everything would run, 1 something would not, 2 the command cannot be run."""
EPILOG = """\
examples:
  python -m harness doctor
  python -m harness doctor --model mini-qwen --model qwen
  python -m harness doctor --model llama --device cuda --dtype float16 --twins 0"""


Read = TypeVar("Read")
PROBE = 3.0  # seconds in which a model's speed is measured
NOTABLE = 1e9  # bytes of measurements that are worth a line


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """The result of one check."""

    mark: Literal["ok", "note", "no"]
    name: str
    text: str


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check libraries, devices, memory and cache; say whether a model would fit",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", action="append", default=[], help="alias, folder or hub id; repeatable"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="of the weights; auto is the model's own",
    )
    parser.add_argument(
        "--twins",
        type=int,
        default=Plan().twins,
        metavar="N",
        help="untrained twins of the run; 0 needs the weights once (default: %(default)s)",
    )
    parser.add_argument(
        "--cache-dir",
        type=Path,
        default=os.environ.get("HARNESS_CACHE_DIR") or user_cache(),
        help="where measurements are stored (default: as in a run, HARNESS_CACHE_DIR or the user's "
        "cache folder)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print each check when it is done; 1 if something would not run, else 0."""
    asked = [specs.resolve(name) for name in dict.fromkeys(options.model)]
    failed = 0
    for check in doctor_checks(options, asked):
        print(f"{check.mark:<6}{check.name:<11} {check.text}", flush=True)
        failed += check.mark == "no"
    return 1 if failed else 0


def doctor_checks(options: argparse.Namespace, asked: list[ModelSpec]) -> Iterator[DoctorCheck]:
    """All checks, the fast ones first."""
    yield _python()
    yield from _libraries()
    yield _cache(options.cache_dir)
    yield _reference_models(options)
    if machine.installed("torch") is None:
        return  # reported above; without torch there is no device
    devices = machine.devices()
    for device in devices:
        free = "" if device.free is None else f", {in_bytes(device.free)} free"
        yield DoctorCheck("ok", "device", f"{device.name}: {device.description}{free}")
    chosen = _chosen(options.device, devices)
    if chosen is None:
        there = ", ".join(d.name for d in devices)
        yield DoctorCheck(
            "no", "device", f"--device {options.device} is not here: there is {there}"
        )
        return
    for spec in asked:
        yield from _model(spec, chosen, options)


def _python() -> DoctorCheck:
    asked, here = machine.python_asked(), platform.python_version()
    works = machine.python_works()
    remedy = "" if works else ". Make a new environment with such a Python."
    return DoctorCheck("ok" if works else "no", "python", f"{here}; required: {asked}{remedy}")


def _libraries() -> Iterator[DoctorCheck]:
    libraries = machine.installed_libraries()
    for library in (lib for lib in libraries if not lib.works):
        here = library.installed or "not installed"
        remedy = "Run: pip install -c constraints.txt -e ."
        yield DoctorCheck(
            "no", library.name, f"{here}; required: {library.asked or 'any'}. {remedy}"
        )
    working = [lib for lib in libraries if lib.works]
    if working:
        yield DoctorCheck("ok", "libraries", f"{len(working)} of {len(libraries)} as asked for")
    other = [lib for lib in working if not lib.as_measured]
    if other:
        named = ", ".join(f"{lib.name} {lib.installed} ({lib.pinned})" for lib in other)
        yield DoctorCheck("note", "libraries", f"not what everything was measured with: {named}")


def _cache(folder: Path) -> DoctorCheck:
    parent = machine.existing(folder)
    if not os.access(parent, os.W_OK) or not parent.is_dir():
        return DoctorCheck("no", "cache", f"{folder} cannot be written: choose another --cache-dir")
    size = Store(folder).size() if folder.is_dir() else 0
    text = f"{folder}: {in_bytes(size)} used, {in_bytes(machine.disk_free(folder))} free on disk"
    return DoctorCheck("ok", "cache", text)


def _reference_models(options: argparse.Namespace) -> DoctorCheck:
    load = LoadOptions(device=options.device, dtype=options.dtype)
    verdicts = StoredVerdicts(Plan(), load, options.cache_dir)
    known = sum(len(model.expected) for model in shipped())
    stored = sum(verdicts.count(model, DATA / "hypotheses") for model in shipped())
    text = f"{stored} of {known} verdicts on reference models are stored for the default plan"
    if stored == known:
        return DoctorCheck("ok", "references", text)
    return DoctorCheck(
        "note", "references", f"{text}: the first run measures the rest, minutes a model"
    )


def _chosen(asked: str, devices: list[Device]) -> Device | None:
    if asked == "auto":  # as models are loaded: a CUDA GPU if there is one, else the CPU
        return next((d for d in devices if d.name.startswith("cuda")), devices[-1])
    return next((d for d in devices if d.name in (asked, f"{asked}:0")), None)


def _model(spec: ModelSpec, device: Device, options: argparse.Namespace) -> Iterator[DoctorCheck]:
    size, stated, faults = _read(spec)
    if faults or size is None or stated is None:
        for fault in dict.fromkeys(faults):
            yield DoctorCheck("no", spec.name, fault.removeprefix(f"{spec.name} "))
        return
    yield from _measurements(spec, stated, options)
    dtype = stated.dtype if options.dtype == "auto" else options.dtype
    dtype = dtype if dtype in BYTES else "float32"
    weights = size.needs(dtype)
    text = f"{parameter_text(size)}, {in_bytes(weights)} in {dtype}"
    needed = weights * (2 if options.twins else 1)
    free = device.free
    if free is None or needed <= free:
        beside = ", with a twin beside it" if options.twins else ""
        yield DoctorCheck("ok", spec.name, f"{text}: fits {device.name}{beside}")
        here = size.on_disk is not None or spec.recipe
        if here and "auto_map" not in architecture.configuration(spec):
            yield _time(spec, stated, options)  # without its own code: that is not run here
    elif weights <= free:
        yield DoctorCheck(
            "no",
            spec.name,
            f"{text}: fits {device.name} alone, but not with an untrained twin beside it "
            f"({in_bytes(needed)} of {in_bytes(free)} free): --twins 0 goes without that control",
        )
    else:
        yield DoctorCheck(
            "no",
            spec.name,
            f"{text}: {device.name} has {in_bytes(free)} free; {_remedy(dtype, device)}",
        )
    if size.on_disk is None and not spec.recipe:
        yield _download(spec, weights)


def _read(spec: ModelSpec) -> tuple[sizes.Size | None, Architecture | None, list[str]]:
    """Size and architecture, and everything that is wrong with the files: not the first alone."""
    faults: list[str] = []

    def tried(read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except ModelError as error:
            faults.append(str(error))
            return None

    size = tried(lambda: sizes.size_of(spec))
    if size is None and not spec.is_local:
        return None, None, faults  # the hub is not asked again what it did not answer
    stated = tried(lambda: architecture.architecture_of(spec))
    supported = _supported(stated or _packed(spec), spec, faults)
    here = size is None or size.on_disk is not None
    if supported and here and "auto_map" not in architecture.configuration(spec):
        tried(lambda: _check_tokenizer(spec))  # code of its own is not run here
        if size is not None and not faults:
            tried(lambda: _check_complete(spec, size))
    return size, stated, faults


def _packed(spec: ModelSpec) -> Architecture | None:
    """What a configuration states whose weights are refused; None if it states no sizes."""
    try:
        return architecture.stated_in(architecture.configuration(spec), spec.name)
    except ModelError:
        return None


def _supported(stated: Architecture | None, spec: ModelSpec, faults: list[str]) -> bool:
    """Whether the parts of the model are found; if not, the fault is added."""
    from harness.adapter.finding import VERIFIED  # noqa: PLC0415 - seconds to import
    from harness.adapter.loading import refuse_unreadable  # noqa: PLC0415

    if stated is None or stated.name in VERIFIED:
        return stated is not None
    try:
        refuse_unreadable(stated.name, architecture.configuration(spec))
    except ModelError as error:
        if "auto_map" in architecture.configuration(spec):  # its own code may name another
            return True
        faults.append(str(error))
        return False
    return True


def _time(spec: ModelSpec, stated: Architecture, options: argparse.Namespace) -> DoctorCheck:
    """What all claims take on a model that is here."""
    plan = Plan(twins=options.twins)
    try:
        spec = on_disk(spec, options.cache_dir)
        speed = speed_before(spec, LoadOptions(options.device, dtype=options.dtype), PROBE)
    except ModelError as error:
        return DoctorCheck("no", spec.name, str(error))
    run = Forecast(planned(all_asked(), plan, stated, speed))
    takes = at_speed(run.left(), speed)
    text = f"all claims take {takes}, at {speed.said}; --budget plans within a time"
    return DoctorCheck("ok", spec.name, text)


def _measurements(
    spec: ModelSpec, stated: Architecture, options: argparse.Namespace
) -> Iterator[DoctorCheck]:
    """Whether the disk of the cache holds what a run measures."""
    needed, free = measured_bytes(stated, options.twins), machine.disk_free(options.cache_dir)
    text = f"a run stores {in_bytes(needed)} or more in {options.cache_dir}, {in_bytes(free)} free"
    if needed > free:
        yield DoctorCheck("no", spec.name, f"{text}: give another --cache-dir, or fewer --items")
    elif needed > NOTABLE:
        yield DoctorCheck("note", spec.name, text)


def measured_bytes(stated: Architecture, twins: int) -> int:
    """Bytes of the activations on the crossed prompts, which outweigh most else that is stored."""
    numbers = stated.layers * (
        2 * stated.neurons  # gates and what neurons write
        + stated.d_model
        + stated.heads * len(HEAD_METRICS)
        + len(LAYER_FEATURES)
    )
    prompts = 4 * Plan().items  # two orders and two labels of each pair
    return BYTES["float32"] * numbers * prompts * (1 + twins)


def _check_tokenizer(spec: ModelSpec) -> None:
    from harness.adapter import loading  # noqa: PLC0415 - seconds to import

    loading.load_tokenizer(spec, LoadOptions())


def _check_complete(spec: ModelSpec, size: sizes.Size) -> None:
    """Check that all parameters are there.

    Raises:
        ModelError: If they are not.
    """
    from harness.adapter import loading  # noqa: PLC0415 - seconds to import

    expected = loading.counted_parameters(spec)
    if size.parameters < expected:
        remedy = (
            "copy or download them again"
            if loading.is_decoder(spec)
            else "copy or download them again, unless it makes embeddings and has no head that "
            "fills masks: then it gives no answers and no claim can be tested on it"
        )
        raise ModelError(
            f"the weights of {spec.name} are incomplete: {size.parameters:,} numbers, and its "
            f"config.json asks for {expected:,}; {remedy}."
        )


def _remedy(dtype: str, device: Device) -> str:
    halve = "--dtype bfloat16 halves it, " if dtype == "float32" else ""
    other = "--device cpu" if device.name != "cpu" else "a machine with more"
    spread = "--device-map auto spreads it over several devices, of which one works at a time"
    divide = "--tensor-parallel N divides it over N GPUs that work together (docs/scale.md)"
    return f"{halve}{spread}, {divide}, or take {other}"


def _download(spec: ModelSpec, weights: int) -> DoctorCheck:
    from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415

    free = machine.disk_free(Path(HF_HUB_CACHE))
    text = f"not downloaded: about {in_bytes(weights)} to {HF_HUB_CACHE} ({in_bytes(free)} free)"
    return DoctorCheck("note" if weights <= free else "no", spec.name, text)
