"""Pytest glue, hooks only: parametrisation, scheduling, verdicts on their way to the controller."""

import inspect
import json
import os
from typing import Any

import pytest

from harness.collector import PREDICTION, Collector, run_key
from harness.compare.matching import check_numbers, match_models
from harness.compare.past import Baseline, BaselineError, find
from harness.models import ModelError
from harness.options import (
    DEFAULT_MODELS,
    OPTIONS,
    Settings,
    add_options,
    selected_models,
    settings_key,
    settings_of,
    variable,
)
from harness.prompts import MaterialsError
from harness.run import Run

DEFAULT_PROMPTS = {"published": ("geography-published",), "controlled": ("geography-crossed",)}
PLAIN_PROMPTS = ("geography",)

BAD_INPUT = (ModelError, MaterialsError, BaselineError)

baseline_key = pytest.StashKey[Baseline | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options; each can also be set in the environment."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Turn names into objects once, and refuse what cannot work before anything is loaded."""
    workerinput = getattr(config, "workerinput", None)
    try:
        settings = config.stash[settings_key] = settings_of(config)
        baseline = config.stash[baseline_key] = _baseline(settings, workerinput)
    except BAD_INPUT as error:
        raise pytest.UsageError(str(error)) from None
    run = Run(settings.report)
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
    set_here = {
        variable(n): os.environ[variable(n)] for n, *_ in OPTIONS if variable(n) in os.environ
    }
    if set_here:
        lines.append("set: " + " ".join(f"{k}={v}" for k, v in set_here.items()))
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every prediction once per model, and per set of materials of its criterion."""
    settings = metafunc.config.stash[settings_key]
    if "model_name" in metafunc.fixturenames:
        names = [spec.name for spec in selected_models(settings)]
        metafunc.parametrize("model_name", names, scope="session")
    if "prompts_name" in metafunc.fixturenames:
        default = DEFAULT_PROMPTS[_criterion(metafunc.definition)]
        sets = settings.prompts or (PLAIN_PROMPTS if is_plain(metafunc.definition) else default)
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
    if settings.criterion != "both":
        unwanted = [i for i in items if _is_prediction(i) and _criterion(i) != settings.criterion]
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]
    order = [spec.name for spec in settings.models] or list(DEFAULT_MODELS)
    for item in filter(_is_prediction, items):
        # A warning of torch on somebody's machine is shown; it does not end a measurement.
        item.add_marker(pytest.mark.filterwarnings("default"))
    items.sort(key=lambda item: order.index(_model(item)) if _model(item) in order else -1)


def _is_prediction(item: pytest.Item) -> bool:
    return "verdict" in getattr(item, "fixturenames", ())


def _model(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("model_name", "")) if callspec else ""


def identity(item: pytest.Item) -> dict[str, str]:
    """What a prediction is called in its record: known before anything is measured."""
    assert isinstance(item, pytest.Function)
    params = item.callspec.params if hasattr(item, "callspec") else {}
    claim_id = item.path.stem.removeprefix("test_")
    # A prediction parametrised further (by kind of component, say) is several predictions.
    others = [str(v) for k, v in params.items() if k not in ("model_name", "prompts_name")]
    return {
        "claim_id": claim_id.split("_")[0],
        "claim": first_line(item.module, item.path.name),
        "prediction_id": "-".join([item.originalname.removeprefix("test_"), *others]),
        "prediction": ": ".join([*others, first_line(item.function, item.originalname)]),
        "criterion": _criterion(item),
        "model": str(params.get("model_name", "")),
        "materials": str(params.get("prompts_name", "")),
    }


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
        item.user_properties.append((PREDICTION, json.dumps(identity(item))))


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

    class OneModelPerWorker(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            _, _, parameters = nodeid.partition("[")
            for name in names:
                if parameters.startswith((f"{name}-", f"{name}]")):
                    return name
            return str(super()._split_scope(nodeid))

    return OneModelPerWorker(config, log)
