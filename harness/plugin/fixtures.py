"""Session fixtures: the model under study, its materials, and their measurements."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from harness.materials.files import crossing as prompt_crossing
from harness.materials.files import reading as prompt_files
from harness.materials.items import PromptSet
from harness.materials.sets import SETS
from harness.models import specs
from harness.plugin.hooks import is_plain
from harness.plugin.settings import Settings, selected_models, settings_key
from harness.store.store import Store
from harness.study.study import Study
from harness.study.subject import Subject


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest) -> Settings:
    """The command line, as objects."""
    return request.config.stash[settings_key]


@pytest.fixture(scope="session")
def store(settings: Settings) -> Iterator[Store]:
    """Measurements on disk. `--cache off` keeps them for this run only."""
    if settings.cache == "off":
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            yield Store(Path(folder))
    else:
        yield Store(settings.cache_dir, mode=settings.cache)


@pytest.fixture(scope="session")
def subject(
    model_name: str, settings: Settings, store: Store, progress_stream: TextIO | None
) -> Iterator[Subject]:
    """The model under study, loaded when something is not in the store."""
    known = (*selected_models(settings), *(m.spec for m in settings.reference_models))
    spec = next((s for s in known if s.name == model_name), None)
    subject = Subject(spec or specs.resolve(model_name), settings.load, store, progress_stream)
    yield subject
    subject.forget()


@pytest.fixture(scope="session")
def progress_stream(request: pytest.FixtureRequest) -> TextIO | None:
    """Where progress bars go: the terminal behind pytest's capture, or nowhere."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    stream = getattr(getattr(reporter, "_tw", None), "_file", None)
    return stream if stream is not None and stream.isatty() else None


@pytest.fixture(scope="session")
def prompts(prompts_name: str, settings: Settings) -> PromptSet:
    """The materials under study, with their labels shuffled under --shuffle-labels."""
    return settings.plan.labelled(_as_they_are(prompts_name, settings))


def _as_they_are(prompts_name: str, settings: Settings) -> PromptSet:
    plan = settings.plan
    if prompts_name in SETS:
        return SETS[prompts_name](plan.items, plan.seed)
    return prompt_files.read_prompts(Path(prompts_name), columns=settings.prompt_columns)


@pytest.fixture
def study(
    request: pytest.FixtureRequest,
    subject: Subject,
    prompts: PromptSet,
    prompts_name: str,
    settings: Settings,
) -> Study:
    """The model on the materials; with --crossed, files are crossed for controlled predictions."""
    marker = request.node.get_closest_marker("criterion")
    wanted = settings.crossed and marker.args == ("controlled",) and not is_plain(request.node)
    if wanted and not prompts.crossed:
        # Crossed first: labels are then shuffled pair by pair, whatever was a pair before.
        alone = _as_they_are(prompts_name, settings)
        crossed = prompt_crossing.cross_set(alone, f"{alone.name}-crossed")
        prompts = settings.plan.labelled(crossed)
    return Study(subject, prompts, settings.plan)
