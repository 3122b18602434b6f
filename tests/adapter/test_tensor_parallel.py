"""Two processes on a CPU, started once by what torchrun starts, against one process."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from harness.adapter import LoadOptions, Model
from harness.adapter.division import planned
from harness.adapter.loading import language_model
from harness.interventions import edits
from harness.interventions.sites import Site
from harness.materials.sets import geography
from harness.models.specs import ModelError, resolve
from tests.support import forks, inner_runs, tiny_models
from tests.support.tiny_models import ITEMS

# With norms of queries and keys, and 49 neurons, which two processes cannot divide evenly; with
# queries, keys and values in one matrix, gate and up-projection in another.
KINDS = {"qwen3": {"intermediate_size": 49}, "phi3": {}}
STORY = tuple(geography(2).items)

# A run whose only test measures each model in the first process.
RUN = """
from pathlib import Path
import numpy
from harness.adapter import parts
from tests.adapter.test_tensor_parallel import measured

def test_measures(subject):
    held = sum(part.values.numel() for part in parts.ours.parts.values())
    assert not held, "parts of the last model are still held"
    numpy.savez(Path(subject.spec.path) / "divided.npz", **measured(subject.model))
"""


def measured(model: Model) -> dict[str, np.ndarray]:
    """What a suite asks of a model, by name."""
    found = {"whole weights": np.array(sum(p.numel() for p in model.module.parameters()))}
    found |= model.extract([*ITEMS, *STORY]).arrays()
    answers = model.score([*ITEMS, *STORY]).arrays()
    found |= {f"answers, {name}": values for name, values in answers.items()}
    reference = model.references(STORY)
    found |= {f"mean {f.name}": getattr(reference, f.name).numpy() for f in fields(reference)}
    swept = model.sweep(STORY, edit_sets(reference), donors=STORY[::-1], partial=True)
    for name in ("log_probability", "logit_difference", "divergence"):
        found[f"sweep, {name}"] = getattr(swept, name)
    found["path"] = model.path_scores(STORY, "neuron", reference, steps=2).scores
    found["written"] = np.array(model.generate(ITEMS, 3))
    found |= {
        f"check {name}": np.array(worst) for name, worst in model.self_check().worst().items()
    }
    found["twin"] = model.twin(1).extract(ITEMS).resid
    return found


def edit_sets(reference) -> list[tuple[edits.Edit, ...]]:
    sites = [
        site
        for layer in (0, 1)
        for site in (Site("head", layer, 3), Site("neuron", layer, (0, 40)), Site("neuron", layer))
    ]
    return [
        (),
        *((edits.zero_ablation(site),) for site in (*sites, Site("resid", 0), Site("mlp", 1))),
        *((edits.mean_ablation(site, reference),) for site in sites),
        *((edits.resample_ablation(site),) for site in sites),
        *((edits.patch_from(site),) for site in sites),
    ]


def by_two(options: tuple[str, ...]) -> int:
    """A run in two processes: `torchrun --standalone`, but for processes that are forked."""
    where = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": "two"}
    how = {"start_method": "fork", "max_restarts": 0, "monitor_interval": 0.1}
    ended = elastic_launch(LaunchConfig(1, 1, 2, **where, **how), forks.run_pytest)(*options)
    return max(ended.values())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The models, each with what two processes measured of it."""
    home = tmp_path_factory.mktemp("divided")
    made = {k: tiny_models.save(home / k, k, **more) for k, more in KINDS.items()}
    (home / "test_run.py").write_text(RUN)
    plugins = ("-p", "harness.plugin.entry", "-p", "no:cacheprovider", *inner_runs.KNOWN_SPEED)
    options = (*plugins, *inner_runs.IMPORTED)
    models = [f"--model={folder}" for folder in made.values()]
    asked = ("test_run.py", *options, "--cache=off", "--tensor-parallel=2", *models)
    with inner_runs.within_this_process() as patched:
        patched.chdir(home)
        done = forks.result_of(lambda: by_two(asked), home)
    assert done.ret == 0, f"{done.stdout}{done.stderr}"
    assert str(done.stdout).count("2 passed") == 1, str(done.stdout)  # by the first process alone
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_measure_what_one_does(folders, kind):
    found = dict(np.load(folders[kind] / "divided.npz"))
    expected = measured(Model.load(resolve(str(folders[kind])), LoadOptions(device="cpu")))
    # Embedding, unembedding and norms are whole in the first process, all else is divided.
    assert found.pop("whole weights") < expected.pop("whole weights")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if values.dtype.kind == "U":
            assert found[name].tolist() == values.tolist()
        else:
            assert np.isfinite(values).any(), name
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("kind", "why"), [("gpt2", "no tensor-parallel"), ("mixtral", "experts")])
def test_a_model_that_cannot_be_divided_is_refused(kind, why):
    made = tiny_models.config if kind in tiny_models.CONFIGS else tiny_models.any_config
    config = made(kind, 50)
    with torch.device("meta"):
        module = language_model(config).from_config(config)
    with pytest.raises(ModelError, match=f"{why}.*leave out --tensor-parallel"):
        planned(module)


@pytest.mark.parametrize(
    ("started", "more", "why"),
    [
        ("1", (), "1 was started: begin the command with torchrun"),
        ("2", ("-n2",), "leave -n out"),
        ("2", ("--device=cpu",), "leave out --device"),
    ],
)
def test_a_run_that_cannot_be_divided_says_why(monkeypatch, capsys, started, more, why):
    monkeypatch.setenv("WORLD_SIZE", started)
    status, _ = inner_runs.run_hypotheses(["test_h0_measurement.py"], "--tensor-parallel=2", *more)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert why in capsys.readouterr().err
