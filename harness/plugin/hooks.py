"""Pytest glue, hooks only: parametrisation, scheduling, verdicts on their way to the controller."""

import inspect
import json
import os
import shlex
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from harness.compare.matching import check_numbers, match_models
from harness.compare.past import Baseline, BaselineError, find
from harness.materials.items import MaterialsError
from harness.models.specs import ModelError
from harness.plugin.collector import PREDICTION, VERDICT, Collector, run_key
from harness.plugin.gate import end_of
from harness.plugin.options import OPTIONS, add_options, variable
from harness.plugin.prediction import Prediction
from harness.plugin.run import Run
from harness.plugin.settings import (
    DEFAULT_MODELS,
    Settings,
    selected_models,
    settings_key,
    settings_of,
)
from harness.study.reference_models import ReferenceModel, StoredVerdicts
from harness.verdicts.judge import Inconclusive
from harness.verdicts.records import verdict_of

DEFAULT_PROMPTS = {"published": ("geography-published",), "controlled": ("geography-crossed",)}
PLAIN_PROMPTS = ("geography",)

MARKER = "criterion(name, plain=False): whose rule a prediction applies, published or controlled"

BAD_INPUT = (ModelError, MaterialsError, BaselineError)

baseline_key = pytest.StashKey[Baseline | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options; each can also be set in the environment."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Turn names into objects once, and refuse what cannot work before anything is loaded."""
    config.addinivalue_line("markers", MARKER)
    workerinput = getattr(config, "workerinput", None)
    try:
        settings = config.stash[settings_key] = settings_of(config)
        baseline = config.stash[baseline_key] = _baseline(settings, workerinput)
    except BAD_INPUT as error:
        raise pytest.UsageError(str(error)) from None
    run = Run(settings.report, card=settings.report_md, command=command_of(config))
    if workerinput is not None:
        run.run_id = workerinput["run_id"]
    run.baseline = baseline
    config.stash[run_key] = run


def _baseline(settings: Settings, workerinput: dict[str, Any] | None) -> Baseline | None:
    """The run to compare with; a worker takes the one that the controller found."""
    against = settings.against
    if against.name is None:
        return None
    past = find(workerinput["baseline"] if workerinput else against.name, against.folder)
    if past.folder == settings.report.parent:
        raise BaselineError(
            f"--baseline {against.name} lies where this run writes its report: give another "
            "--report, or keep the earlier run with --save-baseline."
        )
    check_numbers(settings.plan, past, against.shared)
    names = [spec.name for spec in selected_models(settings)]
    return Baseline(past, match_models(names, past, against.models), against.shared)


def command_of(config: pytest.Config) -> str:
    """What to type for this run again, with the variables that were set for it."""
    arguments = [os.fspath(argument) for argument in config.invocation_params.args]
    variables = [f"{name}={shlex.quote(value)}" for name, value in _set_here().items()]
    return " ".join([*variables, shlex.join(["pytest", *arguments])])


def _set_here() -> dict[str, str]:
    """The options that were given as variables."""
    names = [variable(name) for name, *_ in OPTIONS]
    return {name: os.environ[name] for name in names if name in os.environ}


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is studied, and which settings come from the environment."""
    settings = config.stash[settings_key]
    lines = []
    if settings.models or settings.prompts:
        named = ", ".join(m.name for m in settings.models) or ", ".join(DEFAULT_MODELS)
        lines.append(f"models: {named}; cache: {settings.cache_dir} ({settings.cache})")
    lines += settings.plan.notes
    baseline = config.stash[baseline_key]
    if baseline is not None:
        with_models = ", ".join(f"{n} with {old}" for n, old in baseline.models.items())
        lines.append(f"baseline: {baseline.past.name} ({with_models or 'no model in common'})")
    if set_here := _set_here():
        lines.append("set: " + " ".join(f"{k}={v}" for k, v in set_here.items()))
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every prediction once per model, and per set of materials of its criterion."""
    settings = metafunc.config.stash[settings_key]
    names = [spec.name for spec in selected_models(settings)]
    references = [
        model.name for model in settings.reference_models if "verdict" in metafunc.fixturenames
    ]
    if "prompts_name" in metafunc.fixturenames:
        default = DEFAULT_PROMPTS[_criterion(metafunc.definition)]
        default = PLAIN_PROMPTS if is_plain(metafunc.definition) else default
        sets = settings.prompts or default
    if {"model_name", "prompts_name"} <= set(metafunc.fixturenames):
        # The known verdicts of reference models hold for the default materials.
        cells = [*product(names, sets), *product(references, default)]
        ids = [f"{name}-{prompts}" for name, prompts in cells]
        metafunc.parametrize(("model_name", "prompts_name"), cells, ids=ids, scope="session")
    elif "model_name" in metafunc.fixturenames:
        metafunc.parametrize("model_name", [*names, *references], scope="session")
    elif "prompts_name" in metafunc.fixturenames:
        metafunc.parametrize("prompts_name", sets, scope="session")


def is_plain(node: pytest.Item | Any) -> bool:
    """Whether a prediction asks one question a prompt: `criterion(name, plain=True)`."""
    marker = node.get_closest_marker("criterion")
    return bool(marker and marker.kwargs.get("plain"))


def _criterion(node: pytest.Item | Any) -> str:
    marker = node.get_closest_marker("criterion")
    if marker is None or marker.args not in (("published",), ("controlled",)):
        raise pytest.UsageError(
            f"{node.nodeid} names no criterion: mark it with "
            "@pytest.mark.criterion('published') or ('controlled')."
        )
    return str(marker.args[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the wanted criterion; take one model after the other, so that each is loaded once."""
    settings = config.stash[settings_key]
    # A reference model takes part only in predictions whose verdict on it is known.
    items[:] = [i for i in items if not _is_unknown(i, settings)]
    if settings.criterion != "both":
        unwanted = [i for i in items if _is_prediction(i) and _criterion(i) != settings.criterion]
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]
    order = [spec.name for spec in settings.models] or list(DEFAULT_MODELS)
    order += [model.name for model in settings.reference_models]
    for item in filter(_is_prediction, items):
        # A warning of torch on somebody's machine is shown; it does not end a measurement.
        item.add_marker(pytest.mark.filterwarnings("default"))
    items.sort(key=lambda item: order.index(_model(item)) if _model(item) in order else -1)


def _is_prediction(item: pytest.Item) -> bool:
    return "verdict" in getattr(item, "fixturenames", ())


def _model(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("model_name", "")) if callspec else ""


def reference_model_of(item: pytest.Item) -> ReferenceModel | None:
    """The reference model that a prediction is made on, if it is one."""
    references = item.config.stash[settings_key].reference_models
    return next((model for model in references if model.name == _model(item)), None)


def _is_unknown(item: pytest.Item, settings: Settings) -> bool:
    with_references = settings.reference_models and _is_prediction(item)
    reference = reference_model_of(item) if with_references else None
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
    )
    reference = reference_model_of(item)
    known = None if reference is None else reference.known(prediction.to_json())
    return replace(prediction, control=known)


def first_line(documented: object, name: str) -> str:
    """The sentence that the report prints."""
    doc = inspect.getdoc(documented)
    if not doc:
        raise pytest.UsageError(
            f"{name} has no docstring; its first line is printed in the report."
        )
    return doc.splitlines()[0]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name the prediction before it can fail, so that a failure is a row and not a gap."""
    if _is_prediction(item):
        text = json.dumps(prediction_of(item).to_json())
        item.user_properties.append((PREDICTION, text))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """End a prediction on a reference model with its stored verdict, if there is one."""
    settings = pyfuncitem.config.stash[settings_key]
    reference = reference_model_of(pyfuncitem) if _is_prediction(pyfuncitem) else None
    if reference is None or settings.cache != "use":
        return None
    stored = StoredVerdicts(settings.plan, settings.load, settings.cache_dir)
    record = stored.find(reference, prediction_of(pyfuncitem).to_json(), pyfuncitem.path)
    if record is None:
        return None
    run_id = pyfuncitem.config.stash[run_key].run_id
    verdict = replace(verdict_of(record), run_id=run_id, cached=True)
    pyfuncitem.user_properties.append((VERDICT, json.dumps(verdict.to_json())))
    end_of(verdict, settings.gate)()
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """A prediction that meets an unmet gate ends there, as inconclusive."""
    try:
        return (yield)
    except Inconclusive as stop:
        item.funcargs["verdict"](stop.finding)  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Any:
    """Bad input is one sentence, not a traceback."""
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(BAD_INPUT):
        report.longrepr = f"{item.nodeid}: {call.excinfo.value}"
    return report


def pytest_sessionstart(session: pytest.Session) -> None:
    """Collect on the controller only; xdist workers merely send reports."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Collector(session.config), "verdict-collector")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let every worker write under the controller's run, and compare with what it compares with."""
    node.workerinput["run_id"] = node.config.stash[run_key].run_id
    baseline = node.config.stash[baseline_key]
    if baseline is not None:  # LAST must not come to mean another one in the meantime
        node.workerinput["baseline"] = str(baseline.past.source)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep all tests of a model on one worker, whatever --dist says: it is loaded once."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only under xdist

    names = sorted(
        (s.name for s in config.stash[settings_key].models), key=len, reverse=True
    ) or list(DEFAULT_MODELS)
    names += [model.name for model in config.stash[settings_key].reference_models]

    class OneModelPerWorker(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            _, _, parameters = nodeid.partition("[")
            for name in names:
                if parameters.startswith((f"{name}-", f"{name}]")):
                    return name
            return str(super()._split_scope(nodeid))

    return OneModelPerWorker(config, log)
