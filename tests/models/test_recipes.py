"""Models whose weights a script writes: known without them, written once, when they are loaded."""

from pathlib import Path

import pytest

from harness.models import recipes
from harness.models.architecture import architecture_of
from harness.models.identity import identity_of, weights_identity
from harness.models.recipes import on_disk, organism_folder
from harness.models.specs import LoadOptions, ModelError, resolve, ships


@pytest.fixture
def calls(monkeypatch):
    """Names of organisms that were written, by what stands in for the script."""
    found = []

    def write(name, folder):
        found.append(name)
        folder.mkdir(parents=True)
        (folder / recipes.WHOLE).write_text("{}")

    monkeypatch.setattr(recipes, "_write_organism", write)
    return found


def test_all_but_the_weights_is_known_before_they_are_written(tmp_path, calls):
    spec = resolve("apart")
    assert (spec.recipe, ships(spec)) == ("apart", True)
    assert architecture_of(spec).heads == 10
    found = identity_of(spec, LoadOptions(), tmp_path)
    assert found["weights"] == f"recipe:apart:{recipes.recipe_hash()}"
    other = identity_of(resolve("one-step-apart"), LoadOptions(), tmp_path)
    assert found["weights"] != other["weights"]  # each has its own place in the store
    assert found["dtype"] == "float32"
    assert calls == []


def test_weights_are_written_once(tmp_path, calls):
    spec = resolve("apart")
    first, second = (on_disk(spec, tmp_path) for _ in range(2))
    assert first == second
    assert Path(first.path) == organism_folder(tmp_path, "apart")
    assert ships(first)
    assert weights_identity(first, tmp_path) == weights_identity(spec, tmp_path)
    assert calls == ["apart"]
    assert [path.name for path in (tmp_path / "organisms").iterdir()] == [Path(first.path).name]


def test_two_workers_may_write_it_at_the_same_time(tmp_path, calls, monkeypatch):
    write = recipes._write_organism

    def both(name, folder):
        write(name, folder)
        write(name, organism_folder(tmp_path, name))  # the other one is faster

    monkeypatch.setattr(recipes, "_write_organism", both)
    assert Path(on_disk(resolve("apart"), tmp_path).path, recipes.WHOLE).is_file()
    assert calls == ["apart", "apart"]


def test_a_model_of_a_folder_is_where_it_is(tmp_path, calls):
    spec = resolve("mini-qwen")
    assert on_disk(spec, tmp_path) is spec
    assert calls == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path, calls):
    (tmp_path / "organisms").write_text("in the way")
    with pytest.raises(ModelError, match=r"'apart' could not be written to .*organisms"):
        on_disk(resolve("apart"), tmp_path)
    assert calls == []


def test_what_is_written_has_no_revision():
    with pytest.raises(ModelError, match="has no revision 'main'"):
        resolve("apart@main")


def test_it_changes_with_the_facts_that_it_knows(tmp_path):
    scripts, facts = tmp_path / "fixtures" / "training", tmp_path / "prompts" / "relations"
    for folder in (scripts, facts):
        folder.mkdir(parents=True)
    before = recipes._hash_of(tmp_path)
    (facts / "food.toml").write_text("x = 1")
    recipes._hash_of.cache_clear()
    assert recipes._hash_of(tmp_path) != before
