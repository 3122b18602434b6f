"""What the hooks do for predictions: names, parametrisation, order, stored verdicts."""

import inspect
import json
import os
import shlex
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from harness.compare.matching import check_materials, check_numbers, match_models
from harness.compare.past import Baseline, BaselineError, find
from harness.foreign import ForeignError, printable
from harness.materials.cell_sets import parse
from harness.materials.difficulty import Difficulty
from harness.materials.files.parsing import READERS
from harness.materials.files.reading import check
from harness.materials.items import MaterialsError
from harness.models.identity import same_weights
from harness.plugin.budget import too_few
from harness.plugin.collector import VERDICT, run_key
from harness.plugin.gate import end_of
from harness.plugin.hooks import is_prediction
from harness.plugin.options import DEFAULT_MODELS, variables_set
from harness.plugin.prediction import Prediction
from harness.plugin.run import Run
from harness.plugin.settings import (
    Settings,
    commits_of,
    selected_models,
    settings_key,
    settings_of,
)
from harness.plugin.writing import check_writable, claim
from harness.study.reference_models import ReferenceModel
from harness.verdicts.records import verdict_of

DEFAULT_PROMPTS = {
    "published": ("geography-published",),
    "controlled": ("cells-crossed:lookup-reasoning",),
}
PLAIN_PROMPTS = ("cells",)

baseline_key = pytest.StashKey[Baseline | None]()


def prepare(config: pytest.Config, run_id: str) -> None:
    """Turn names into objects, and refuse what cannot work before anything is loaded."""
    workerinput = getattr(config, "workerinput", None)
    try:
        settings = config.stash[settings_key] = settings_of(config)
        baseline = config.stash[baseline_key] = _baseline(settings, workerinput)
    except ForeignError as error:
        raise pytest.UsageError(printable(str(error))) from None
    if workerinput is None and not config.option.collectonly:
        check_writable("--report", settings.report)
        if settings.report_md:
            check_writable("--report-md", settings.report_md)
        claim(settings.report, config)
    run = Run(settings.report, run_id, card=settings.report_md, command=command_of(config))
    run.baseline = baseline
    config.stash[run_key] = run


def _baseline(settings: Settings, workerinput: dict[str, Any] | None) -> Baseline | None:
    """The run to compare with; a worker takes the one that the controller found."""
    against = settings.against
    if against.name is None:
        return None
    past = find(workerinput["baseline"] if workerinput else against.name, against.folder)
    if not workerinput:
        past.samples()  # read at the end; but that it is damaged is said before all is measured
    if past.folder == settings.report.parent:
        raise BaselineError(
            f"--baseline {against.name} lies where this run writes its report: give another "
            "--report, or keep the earlier run with --save-baseline."
        )
    check_numbers(settings.plan, past, against.shared)
    files = (Path(name).suffix.lower() in READERS for name in settings.prompts)
    asked = [Path(n).stem if file else n for n, file in zip(settings.prompts, files, strict=True)]
    check_materials(asked, past)
    names = [spec.name for spec in selected_models(settings)]
    return Baseline(past, match_models(names, past, against.models), against.shared)


def difficulty_before(config: pytest.Config, model: str) -> Difficulty | None:
    """The setting of the cells that the baseline has of a model, where the run allows it."""
    baseline = config.stash[baseline_key]
    if baseline is None or model not in baseline.models:
        return None
    before = [v for v in baseline.past.verdicts if v.model.name == baseline.models[model]]
    stated = (parse(v.materials.name) for v in before if "@" in v.materials.name)
    difficulty = next((set_.difficulty for set_ in stated if set_ and set_.difficulty), None)
    allowed = config.stash[settings_key].difficulty
    return difficulty if difficulty is not None and allowed.allows(difficulty) else None


def baseline_path(config: pytest.Config) -> str:
    """The baseline that the controller found; empty if there is none."""
    baseline = config.stash[baseline_key]
    return "" if baseline is None else str(baseline.past.source)


def commits(config: pytest.Config) -> dict[str, str | None]:
    """The commit of every hub model, as the controller found it."""
    return commits_of(config.stash[settings_key])


def command_of(config: pytest.Config) -> str:
    """What to type for this run again, with the variables that were set for it."""
    arguments = [os.fspath(argument) for argument in config.invocation_params.args]
    variables = [f"{name}={shlex.quote(value)}" for name, value in variables_set().items()]
    return " ".join([*variables, shlex.join(["pytest", *arguments])])


def report_header(config: pytest.Config) -> list[str]:
    """What is studied, and which settings come from the environment."""
    settings = config.stash[settings_key]
    lines = []
    if settings.models or settings.prompts:
        named = ", ".join(m.name for m in settings.models) or ", ".join(DEFAULT_MODELS)
        lines.append(f"models: {named}; cache: {settings.cache_dir} ({settings.cache})")
    for spec in settings.models:
        if spec.commit is not None:
            unasked = " (the one on this machine: the hub did not answer)" if spec.unasked else ""
            lines.append(f"{spec.name}: commit {spec.commit}{unasked}")
    lines += [
        f"{name}: the same weights as {first}, so not a second measurement"
        for name, first in same_weights(settings.models, settings.cache_dir).items()
    ]
    lines += too_few(settings.plan.items)
    lines += settings.plan.notes
    baseline = config.stash[baseline_key]
    if baseline is not None:
        with_models = ", ".join(f"{n} with {old}" for n, old in baseline.models.items())
        lines.append(f"baseline: {baseline.past.name} ({with_models or 'no model in common'})")
    if found := variables_set():
        lines.append("set: " + " ".join(f"{k}={v}" for k, v in found.items()))
    return lines


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test once per model, and per set of materials of its criterion."""
    settings = metafunc.config.stash[settings_key]
    names = [spec.name for spec in selected_models(settings)]
    judged = is_prediction(metafunc.definition)
    references = [model.name for model in settings.reference_models if judged]
    if "prompts_name" in metafunc.fixturenames:
        default = _default_prompts(metafunc.definition)
        own = _own_file(metafunc.definition)
        sets = (own,) if own else settings.prompts or default
    if {"model_name", "prompts_name"} <= set(metafunc.fixturenames):
        # The known verdicts of reference models hold for the default materials.
        cells = [*product(names, sets), *product(references, default)]
        ids = [f"{name}-{Path(own).name if own else prompts}" for name, prompts in cells]
        metafunc.parametrize(("model_name", "prompts_name"), cells, ids=ids, scope="session")
    elif "model_name" in metafunc.fixturenames:
        metafunc.parametrize("model_name", [*names, *references], scope="session")
    elif "prompts_name" in metafunc.fixturenames:
        metafunc.parametrize("prompts_name", sets, scope="session")


def _default_prompts(node: pytest.Item | Any) -> tuple[str, ...]:
    """The materials of a prediction where the command line names none.

    `criterion(name, prompts="cells")` names its own.
    """
    marker = node.get_closest_marker("criterion")
    criterion = _criterion(node)
    if marker and "prompts" in marker.kwargs:
        return (str(marker.kwargs["prompts"]),)
    return PLAIN_PROMPTS if is_plain(node) else DEFAULT_PROMPTS[criterion]


def _own_file(node: pytest.Item | Any) -> str:
    """The prompt file that a claim brings: `criterion(name, prompts="mine.jsonl")`, beside it.

    --prompts does not replace it: the claim is about these prompts. Empty if it brings none.
    """
    marker = node.get_closest_marker("criterion")
    named = str(marker.kwargs.get("prompts", "")) if marker else ""
    if Path(named).suffix.lower() not in READERS:
        return ""
    try:
        return str(check(node.path.parent / named))
    except MaterialsError as error:
        raise pytest.UsageError(f"{node.nodeid}: {error}") from None


def is_plain(node: pytest.Item | Any) -> bool:
    """Whether a prediction asks one question a prompt: `criterion(name, plain=True)`."""
    marker = node.get_closest_marker("criterion")
    return bool(marker and marker.kwargs.get("plain"))


def part_of(node: pytest.Item | Any) -> str:
    """The part of the claim that a prediction is about: `criterion(name, part="steers")`."""
    marker = node.get_closest_marker("criterion")
    return str(marker.kwargs.get("part", "")) if marker else ""


def is_primary(node: pytest.Item | Any) -> bool:
    """Whether the claim stands on a prediction: `criterion(name, primary=True)`."""
    marker = node.get_closest_marker("criterion")
    return bool(marker and marker.kwargs.get("primary"))


def _criterion(node: pytest.Item | Any) -> str:
    marker = node.get_closest_marker("criterion")
    if marker is None or marker.args not in (("published",), ("controlled",)):
        raise pytest.UsageError(
            f"{node.nodeid} names no criterion: mark it with "
            "@pytest.mark.criterion('published') or ('controlled')."
        )
    return str(marker.args[0])


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the wanted criterion; sort by model, in place.

    Plain cells come last: they take longest, and what is asked before tells how long.
    """
    settings = config.stash[settings_key]
    items[:] = without_unknown(items)  # which names what has no docstring
    if settings.criterion != "both":
        unwanted = [i for i in items if is_prediction(i) and _criterion(i) != settings.criterion]
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]
    order = [spec.name for spec in settings.models] or list(DEFAULT_MODELS)
    order += [model.name for model in settings.reference_models]
    for item in filter(is_prediction, items):
        # A warning of torch on somebody's machine is shown; it does not end a measurement.
        item.add_marker(pytest.mark.filterwarnings("default"))

    def place(item: pytest.Item) -> tuple[int, bool]:
        model, prompts = _model(item), _parameter(item, "prompts_name")
        return order.index(model) if model in order else -1, prompts in PLAIN_PROMPTS

    items.sort(key=place)


def _model(item: pytest.Item) -> str:
    return _parameter(item, "model_name")


def _parameter(item: pytest.Item, name: str) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get(name, "")) if callspec else ""


def reference_model_of(item: pytest.Item) -> ReferenceModel | None:
    """The reference model that a prediction is made on, if it is one."""
    references = item.config.stash[settings_key].reference_models
    return next((model for model in references if model.name == _model(item)), None)


def without_unknown(items: list[pytest.Item]) -> list[pytest.Item]:
    """The items but predictions on a reference model whose verdict is not known."""
    return [item for item in items if not _is_unknown(item)]


def _is_unknown(item: pytest.Item) -> bool:
    reference = reference_model_of(item) if is_prediction(item) else None
    return reference is not None and prediction_of(item).control is None


def prediction_of(item: pytest.Item) -> Prediction:
    """What a test is called in its record, and what is known of it on a reference model."""
    assert isinstance(item, pytest.Function)
    params = item.callspec.params if hasattr(item, "callspec") else {}
    claim_id = item.path.stem.removeprefix("test_")
    # A prediction parametrised further (by kind of component, say) is several predictions.
    others = [str(v) for k, v in params.items() if k not in ("model_name", "prompts_name")]
    prediction = Prediction(
        claim_id=claim_id.split("_")[0],
        claim=first_line(item.module, item.path.name),
        prediction_id="-".join([item.originalname.removeprefix("test_"), *others]),
        prediction=": ".join([*others, first_line(item.function, item.originalname)]),
        criterion=_criterion(item),
        model=str(params.get("model_name", "")),
        materials=str(params.get("prompts_name", "")),
        part=part_of(item),
        primary=is_primary(item),
    )
    reference = reference_model_of(item)
    known = None if reference is None else reference.known(prediction.to_json())
    return replace(prediction, control=known)


def named(item: pytest.Item) -> str:
    """The prediction as text, for the way to the controller."""
    return json.dumps(prediction_of(item).to_json())


def first_line(documented: object, name: str) -> str:
    """The sentence that the report prints."""
    doc = inspect.getdoc(documented)
    if not doc:
        raise pytest.UsageError(
            f"{name} has no docstring: write one; its first line is the claim (of a file) or the "
            "prediction (of a test) in the report."
        )
    return doc.splitlines()[0]


def end_with_stored(item: pytest.Function) -> bool | None:
    """End a prediction on a reference model with its stored verdict; None if there is none."""
    record = _stored(item)
    if record is None:
        return None
    run_id = item.config.stash[run_key].run_id
    verdict = replace(verdict_of(record), run_id=run_id, cached=True)
    item.user_properties.append((VERDICT, json.dumps(verdict.to_json())))
    end_of(verdict, item.config.stash[settings_key].gate)()
    return True


def has_stored(item: pytest.Function) -> bool:
    """Whether a test is a prediction that ends with a stored verdict."""
    return is_prediction(item) and _stored(item) is not None


def stored_among(items: list[pytest.Item]) -> list[int]:
    """The places of tests that end with a stored verdict on a reference model."""
    stored = (isinstance(item, pytest.Function) and has_stored(item) for item in items)
    return [place for place, is_stored in enumerate(stored) if is_stored]


def _stored(item: pytest.Function) -> dict[str, Any] | None:
    """The stored verdict of a prediction on a reference model."""
    settings = item.config.stash[settings_key]
    reference = reference_model_of(item)
    if reference is None or settings.cache != "use":
        return None
    stored = settings.stored_verdicts
    return stored.find(reference, prediction_of(item).to_json(), item.path)


def model_names(config: pytest.Config) -> list[str]:
    """Names of the run's models, longest first, so that none is taken for the start of another."""
    settings = config.stash[settings_key]
    named = [spec.name for spec in settings.models] or list(DEFAULT_MODELS)
    return sorted([*named, *(model.name for model in settings.reference_models)], key=len)[::-1]
