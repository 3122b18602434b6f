"""The settings of a run: its options as objects."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.compare.matching import parse_models
from harness.compare.past import BASELINES, check_name
from harness.foreign import parsed
from harness.materials.files import columns as prompt_columns
from harness.materials.files import reading as prompt_files
from harness.materials.sets import SETS, drawing_of
from harness.models import specs
from harness.models.hub import pinned
from harness.models.specs import LoadOptions, ModelSpec
from harness.plugin.options import DEFAULT_MODELS, option_of
from harness.plugin.writing import report_path
from harness.store.store import user_cache
from harness.study.difficulty import Asked
from harness.study.plan import Plan
from harness.study.reference_models import ReferenceModel, StoredVerdicts, shipped
from harness.verdicts.verdict import Stage

NUMBER = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{1,15})?")
# What apply_chat_template takes for itself.
RESERVED = (
    *("conversation", "tools", "documents", "chat_template", "add_generation_prompt", "tokenize"),
    *("continue_final_message", "padding", "truncation", "max_length", "return_tensors"),
    *("return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs", "messages"),
)

settings_key = pytest.StashKey["Settings"]()


@dataclass(frozen=True, slots=True)
class Against:
    """The baseline that a run is compared with, and the one that it is saved as.

    Attributes:
        name: A baseline's name or number, LAST, or a path; None: no comparison.
        folder: Where numbered baselines are.
        keep_as: The name under which this run is saved; None: it is not saved.
        shared: Whether the runs may differ in their number of items; effects are then compared on
            the samples that both have.
        models: The model of the baseline for a model of this run, where the names differ.
        allow_gone: Whether predictions that the baseline supports may be missing in this run.
    """

    name: str | None
    folder: Path
    keep_as: str | None
    shared: bool
    models: Mapping[str, str]
    allow_gone: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line, as objects."""

    models: tuple[ModelSpec, ...]
    prompts: tuple[str, ...]
    prompt_columns: Mapping[str, str]
    crossed: bool
    criterion: str
    gate: str
    plan: Plan
    difficulty: Asked
    load: LoadOptions
    cache: str
    cache_dir: Path
    report: Path
    report_md: Path | None
    against: Against
    reference_models: tuple[ReferenceModel, ...]
    exploratory: bool
    budget: float | None = None

    @property
    def stored_verdicts(self) -> StoredVerdicts:
        """Known verdicts on reference models that need not be measured again."""
        return StoredVerdicts(self.plan, self.load, self.cache_dir, self.difficulty)

    def asked_of(self, model: str) -> Asked:
        """The difficulty that a model is asked with: a reference model may state its own."""
        named = (each.asked for each in self.reference_models if each.name == model)
        return next(named, None) or self.difficulty

    def stage(self, model: str) -> Stage | Literal[""]:
        """What a verdict on a model is worth: the plan was tuned on the models that ship."""
        if not model:
            return ""
        specs_of = {spec.name: spec for spec in self.models}
        ships = specs.ships(specs_of.get(model) or specs.resolve(model))
        return Stage.EXPLORATORY if self.exploratory or ships else Stage.CONFIRMATORY


def settings_of(config: pytest.Config) -> Settings:
    """The command line as objects.

    Raises:
        pytest.UsageError: If an option has a value that it does not accept.
        ModelError: If no such model is known.
        MaterialsError: If a prompt file cannot be read.
    """
    prompts = option_of(config, "--prompts")
    columns = prompt_columns.parse_columns(option_of(config, "--prompt-columns"))
    _check_prompts(prompts, columns)
    named = option_of(config, "--model")
    card = option_of(config, "--report-md")
    return Settings(
        # The default models are resolved when a prediction needs them: other tests need none.
        models=tuple(_resolved(name, config) for name in dict.fromkeys(named)),
        prompts=tuple(dict.fromkeys(prompts)),
        prompt_columns=columns,
        crossed=option_of(config, "--crossed"),
        criterion=option_of(config, "--criterion"),
        gate=option_of(config, "--gate"),
        plan=_plan(config),
        difficulty=_difficulty(config),
        load=_load_options(config),
        cache=option_of(config, "--cache"),
        cache_dir=Path(option_of(config, "--cache-dir") or user_cache()),
        report=report_path(option_of(config, "--report")),
        report_md=Path(card).resolve() if card else None,
        against=_against(config),
        reference_models=() if option_of(config, "--no-controls") else _reference_models(named),
        exploratory=option_of(config, "--exploratory"),
        budget=_budget(config),
    )


def _resolved(name: str, config: pytest.Config) -> ModelSpec:
    """The model of this name; a hub model is fixed to a commit once a run, on the controller."""
    workerinput: dict[str, Any] = getattr(config, "workerinput", {})
    spec, commits = specs.resolve(name), workerinput.get("commits")
    return pinned(spec) if commits is None else replace(spec, commit=commits.get(name))


def commits_of(settings: Settings) -> dict[str, str | None]:
    """The commit of every model, for the workers."""
    return {spec.name: spec.commit for spec in settings.models}


def _check_prompts(named: Sequence[str], columns: Mapping[str, str]) -> None:
    """Read prompt files once now, so that a bad line is reported before a model is loaded."""
    for name in named:
        if drawing_of(name) is None:
            prompt_files.check(name, tuple(SETS))
            prompt_files.read_prompts(name, columns=columns)


def _plan(config: pytest.Config) -> Plan:
    return Plan(
        seed=option_of(config, "--seed"),
        items=option_of(config, "--items"),
        permutations=option_of(config, "--permutations"),
        resamples=option_of(config, "--resamples"),
        twins=option_of(config, "--twins"),
        shuffle_labels=option_of(config, "--shuffle-labels"),
        competence_gate=option_of(config, "--competence-gate"),
        full=option_of(config, "--full"),
    )


def _budget(config: pytest.Config) -> float | None:
    """Seconds that the run may take; None if it may take what it needs."""
    budget: float | None = option_of(config, "--budget")
    workers = getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput")
    if budget is not None and workers:
        raise pytest.UsageError(
            "--budget plans a run in one process, and -n runs several: leave -n out, or ask for "
            "fewer --items."
        )
    return budget


def _difficulty(config: pytest.Config) -> Asked:
    asked = Asked(
        shots=option_of(config, "--shots"),
        chains=option_of(config, "--chains"),
        order=option_of(config, "--order"),
        steps=option_of(config, "--steps"),
        names=option_of(config, "--names"),
    )
    asked.settings()  # refuses what there is not, before a model is loaded
    return asked


def _load_options(config: pytest.Config) -> LoadOptions:
    return LoadOptions(
        device=option_of(config, "--device"),
        device_map=option_of(config, "--device-map"),
        tensor_parallel=option_of(config, "--tensor-parallel") is not None,
        dtype=option_of(config, "--dtype"),
        batch_size=option_of(config, "--batch-size"),
        trust_remote_code=option_of(config, "--trust-remote-code"),
        chat_template=option_of(config, "--chat-template"),
        template_args=_template_args(config),
    )


def _template_args(config: pytest.Config) -> tuple[tuple[str, Any], ...]:
    """Names and values for the chat template; true, false, null and numbers as JSON has them."""
    given = option_of(config, "--template-arg")
    if given and not option_of(config, "--chat-template"):
        raise pytest.UsageError("--template-arg is for the chat template: add --chat-template.")
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name.isidentifier() or not equals or name in found or name in RESERVED:
            raise pytest.UsageError(
                f"--template-arg {text!r}: expected NAME=VALUE with a name of its own, such as "
                "enable_thinking=false."
            )
        plain = value in ("true", "false", "null") or NUMBER.fullmatch(value)
        found[name] = parsed(value) if plain else value
    return tuple(sorted(found.items()))


def _reference_models(named: Sequence[str]) -> tuple[ReferenceModel, ...]:
    """The reference models of a run: all but those that are under study themselves."""
    return tuple(model for model in shipped() if model.name not in named)


def _against(config: pytest.Config) -> Against:
    against = Against(
        name=option_of(config, "--baseline"),
        folder=Path(option_of(config, "--baseline-dir") or _home(config) / BASELINES).resolve(),
        keep_as=option_of(config, "--save-baseline"),
        shared=option_of(config, "--baseline-on") == "shared",
        models=parse_models(option_of(config, "--baseline-model")),
        allow_gone=option_of(config, "--allow-gone"),
    )
    if against.keep_as is not None:
        check_name(against.keep_as)
    if option_of(config, "--gate") == "regressions" and against.name is None:
        raise pytest.UsageError(
            "--gate regressions compares with an earlier run: give --baseline the name under which "
            "--save-baseline saved it, or the path of its verdicts.json."
        )
    return against


def _home(config: pytest.Config) -> Path:
    """The rootdir; without a configuration file, where pytest was called.

    Without one, pytest takes `--model /path` for a path of tests, and a folder near it as rootdir.
    """
    return config.invocation_params.dir if config.inipath is None else config.rootpath


def selected_models(settings: Settings) -> tuple[ModelSpec, ...]:
    """The models that were named, or the default ones."""
    return settings.models or tuple(specs.resolve(name) for name in DEFAULT_MODELS)
