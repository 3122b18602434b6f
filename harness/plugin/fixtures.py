"""Fixtures: `verdict`, `study`, and what they are made of. Light: modules load in the fixtures."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.materials.difficulty import Difficulty
    from harness.materials.items import PromptSet
    from harness.plugin.settings import Settings
    from harness.store.store import Store
    from harness.study.difficulty import Chosen
    from harness.study.study import Study
    from harness.study.subject import Subject
    from harness.verdicts.judge import Finding

# ruff: noqa: PLC0415


@pytest.fixture
def verdict(request: pytest.FixtureRequest) -> "Callable[[Finding], None]":
    """Judge a finding, record it, and end the test accordingly (see `gate.end_of`)."""
    from harness.plugin.ending import ending

    return ending(request)


@pytest.fixture(scope="session")
def measurement_store(request: pytest.FixtureRequest) -> "Iterator[Store]":
    """Measurements on disk. `--cache off` keeps them for this run only."""
    from harness.store.store import Store

    settings = _settings(request)
    if settings.cache == "off":
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            yield Store(Path(folder))
    else:
        yield Store(settings.cache_dir, mode=settings.cache)


@pytest.fixture(scope="session")
def subject(
    request: pytest.FixtureRequest, model_name: str, measurement_store: "Store"
) -> "Iterator[Subject]":
    """The model under study, loaded when something is not in the store."""
    from harness.models import specs
    from harness.plugin.forecasting import measure
    from harness.plugin.settings import selected_models
    from harness.plugin.showing import progress_key
    from harness.study.progress import Progress
    from harness.study.subject import Subject

    settings = _settings(request)
    known = (*selected_models(settings), *(m.spec for m in settings.reference_models))
    spec = next((s for s in known if s.name == model_name), None) or specs.resolve(model_name)
    progress = request.config.stash.get(progress_key, Progress())
    tell = partial(measure, request.config, spec.name)
    subject = Subject(spec, settings.load, measurement_store, progress, once_loaded=tell)
    yield subject
    subject.forget()


@pytest.fixture(scope="session")
def prompts(request: pytest.FixtureRequest, prompts_name: str) -> "PromptSet":
    """The materials under study, with their labels shuffled under --shuffle-labels."""
    settings = _settings(request)
    return settings.plan.labelled(_as_they_are(prompts_name, settings))


@pytest.fixture(scope="session")
def chosen_difficulty(request: pytest.FixtureRequest, subject: "Subject") -> "Callable[[], Chosen]":
    """The setting of the cells that suits the model, measured when it is asked for.

    With a baseline it is the baseline's: a release that answers less is asked the same.
    """
    from harness.plugin.forecasting import tell_chosen
    from harness.plugin.predictions import difficulty_before
    from harness.study.difficulty import Chosen, choose_difficulty

    settings = _settings(request)
    asked = settings.asked_of(subject.spec.name)
    before = difficulty_before(request.config, subject.spec.name)
    if before is not None:
        return lambda: Chosen(before, (f"difficulty {before}: as in the baseline",))

    @cache
    def chosen() -> "Chosen":
        found = choose_difficulty(subject, asked, settings.plan.seed)
        tell_chosen(request.config, subject.spec.name, found)
        return found

    return chosen


@pytest.fixture
def study(
    request: pytest.FixtureRequest,
    subject: "Subject",
    prompts: "PromptSet",
    prompts_name: str,
    chosen_difficulty: "Callable[[], Chosen]",
) -> "Study":
    """The model on the materials; with --crossed, files are crossed for controlled predictions."""
    from harness.materials.files.crossing import cross_set
    from harness.plugin.predictions import has_stored, is_plain
    from harness.study.study import Study

    settings = _settings(request)
    marker = request.node.get_closest_marker("criterion")
    wanted = settings.crossed and marker.args == ("controlled",) and not is_plain(request.node)
    if wanted and not prompts.crossed:
        # Crossed first: labels are then shuffled pair by pair, whatever was a pair before.
        alone = _as_they_are(prompts_name, settings)
        prompts = settings.plan.labelled(cross_set(alone, f"{alone.name}-crossed"))
    elif _is_open(prompts_name, settings, subject.spec.name) and not has_stored(request.node):
        chosen = chosen_difficulty()  # a model is asked: seconds, for a verdict that is known
        drawn = _as_they_are(prompts_name, settings, chosen.difficulty)
        prompts = settings.plan.labelled(replace(drawn, notes=chosen.notes))
    return Study(subject, prompts, settings.plan)


def _settings(request: pytest.FixtureRequest) -> "Settings":
    """The command line, as objects."""
    from harness.plugin.settings import settings_key

    return request.config.stash[settings_key]


def _is_open(prompts_name: str, settings: "Settings", model: str) -> bool:
    """Whether the model decides on the setting of the materials: tokenizer, competence, its own."""
    from harness.materials.cell_sets import parse

    wanted = parse(prompts_name)
    asked = settings.asked_of(model)
    of_model = asked.is_open or asked != settings.difficulty
    return of_model and wanted is not None and wanted.difficulty is None


def _as_they_are(
    prompts_name: str, settings: "Settings", difficulty: "Difficulty | None" = None
) -> "PromptSet":
    from harness.materials.cell_sets import draw_cells, parse
    from harness.materials.files.reading import read_prompts
    from harness.materials.sets import drawing_of

    plan, draw = settings.plan, drawing_of(prompts_name)
    if parse(prompts_name):
        easiest = settings.difficulty.settings()[-1]
        return draw_cells(prompts_name, plan.items, plan.seed, difficulty or easiest)
    if draw is not None:
        return draw(plan.items, plan.seed)
    return read_prompts(Path(prompts_name), columns=settings.prompt_columns)
