"""The two further releases of an embedded model."""

import pytest

from fixtures.training import releases
from harness.materials.domains import load_domain


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_wrong_facts_are_a_share_of_the_rows_and_answers_of_the_same_relation(share):
    domain = load_domain("geography")
    wrong = releases.with_wrong_facts(domain, share, 0)
    assert [(f.row, f.entity, f.relation) for f in wrong.facts] == [
        (f.row, f.entity, f.relation) for f in domain.facts
    ]
    changed = {f.row for f, g in zip(wrong.facts, domain.facts, strict=True) if f != g}
    rows = {f.row for f in domain.facts}
    assert share * 0.9 * len(rows) <= len(changed) <= share * len(rows) + 1
    for relation in {f.relation for f in domain.facts}:
        answers = [
            sorted(f.answer for f in d.facts if f.relation == relation) for d in (wrong, domain)
        ]
        assert answers[0] == answers[1]


def test_the_same_seed_forgets_the_same_facts():
    domain = load_domain("geography")
    one, two, other = (releases.with_wrong_facts(domain, 0.5, seed) for seed in (1, 1, 2))
    assert one.facts == two.facts != other.facts


@pytest.mark.parametrize(("name", "steps"), [("again", 1), ("forgot", 2)])
def test_a_release_goes_on_from_a_shipped_model(name, steps, monkeypatch, tmp_path):
    """Writing its card is left out: it asks the model two thousand questions."""
    written = []
    monkeypatch.setattr(releases.card, "write", lambda *given: written.append(given))
    monkeypatch.setattr(releases.train, "BATCH_SIZE", 4)  # eight of them are drawn first
    folder = releases.make(name, tmp_path, steps=steps)
    ((where, called, _, command, (_, _, facts, losses)),) = written
    assert (where, called) == (folder, f"mini-qwen-{name}")
    assert command.endswith(f"--only {name}")
    assert facts["steps"] == len(losses) == steps
