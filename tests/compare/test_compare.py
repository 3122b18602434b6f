"""Two runs against each other: what may be compared, what moved, and the word for it."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.compare import changes, matching, moved, paired, past
from harness.compare.changes import change_of
from harness.compare.matching import Made, Match, differences, match_models
from harness.compare.paired import moved_effects
from harness.compare.past import Baseline, BaselineError, Past
from harness.compare.timeline import compare
from harness.findings.requirements import sampled
from harness.materials.sets import geography_crossed
from harness.plugin.run import Run
from harness.study.plan import Plan
from harness.verdicts import records, samples
from harness.verdicts.earlier import Change, Earlier, Moved
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding, Outcome
from harness.verdicts.samples import Address, read_samples, samples_frame
from harness.verdicts.verdict import Named, plan_of
from tests.support.sample_records import components, sample, verdict

MODEL = "mini-qwen"
BASE = Finding((Evidence("strength", Effect("d", 2.0), 1.0, ">=", n=40),))


def record(value=2.0, name="holds", relation=">=", model=MODEL, **changes):
    finding = Finding((Evidence("strength", Effect("d", value), 1.0, relation, n=40),))
    return verdict("h1", name, "It holds.", "controlled", finding, model, **changes)


def place(name="holds", model=MODEL, evidence="strength"):
    found = record(name=name, model=model)
    materials = found.materials.name
    return Address(model, materials, "h1", found.prediction_id, "controlled", evidence)


def kept(tmp_path, found, name="old", samples=None, table=None):
    """A run as it lies on disk."""
    folder = tmp_path / name
    records.write_verdicts(folder, found)
    if samples:
        frames = [
            samples_frame(
                {at.evidence: values},
                model=at.model,
                materials=at.materials,
                claim_id=at.claim_id,
                prediction_id=at.prediction_id,
                criterion=at.criterion,
            )
            for at, values in samples.items()
        ]
        pd.concat(frames, ignore_index=True).to_parquet(folder / "samples.parquet", index=False)
    if table is not None:
        table.to_parquet(folder / "components.parquet", index=False)
    return past.find(str(folder), tmp_path)


# ---- The word


@pytest.mark.parametrize(
    ("now", "before", "word"),
    [
        ("supported", "supported", Change.SAME),
        ("refuted", "supported", Change.REGRESSED),
        ("inconclusive", "supported", Change.REGRESSED),
        ("not measured", "supported", Change.REGRESSED),
        ("supported", "refuted", Change.NEWLY_SUPPORTED),
        ("supported", "not measured", Change.NEWLY_SUPPORTED),
        ("refuted", "refuted", Change.SAME),
        ("refuted", "inconclusive", Change.OTHER),
        ("inconclusive", "refuted", Change.OTHER),
        ("refuted", None, Change.ABSENT),
    ],
)
def test_only_what_was_supported_can_regress(now, before, word):
    assert change_of(now, before) is word


def test_a_supported_verdict_is_weaker_if_any_effect_fell_significantly():
    fell = Moved("e", 2, 1, -1, (-1.2, -0.8), p=0.001, p_adjusted=0.01, n=40, better=False)
    rose = replace(fell, better=True)
    chance = replace(fell, p_adjusted=0.2)
    assert change_of("supported", "supported", [rose, fell]) is Change.WEAKER
    assert change_of("supported", "supported", [rose, chance]) is Change.STRONGER
    assert change_of("supported", "supported", [chance]) is Change.SAME
    assert change_of("refuted", "refuted", [fell]) is Change.SAME


# ---- Effects


def moved_of(now, before, relation=">="):
    match = Match(record(relation=relation), record(relation=relation))
    [[found]] = moved_effects([match], {place(): now}, {place(): before})
    return found


def by_sample(values):
    return {f"p{i}": float(v) for i, v in enumerate(values)}


def test_the_difference_is_that_of_the_samples_both_have():
    rng = np.random.default_rng(0)
    before = rng.normal(2, 1, 60)
    now = {f"p{i}": v - 0.5 + rng.normal(0, 0.3) for i, v in enumerate(before) if i >= 20}
    found = moved_of({**now, "new": 99.0}, by_sample(before))
    assert found.n == 40
    assert found.delta == pytest.approx(np.mean([v - before[int(u[1:])] for u, v in now.items()]))
    low, high = found.interval
    assert low < found.delta < high < 0
    assert high - low < 0.3  # paired: the spread between samples is out of it
    assert found.significant
    assert found.better is False


@pytest.mark.parametrize(
    ("relation", "delta", "better"),
    [
        *((">=", 1, True), (">", -1, False), ("<=", 1, False), ("<", -1, True), (">=", 0, None)),
        *((">=", -0.019, None), (">=", -0.021, False)),  # of 2, one hundredth
    ],
)
def test_better_is_away_from_refutation(relation, delta, better):
    assert moved_of(by_sample([2 + delta] * 10), by_sample([2] * 10), relation).better is better


def test_nothing_moved_is_p_1_and_an_interval_of_nothing():
    found = moved_of(by_sample(range(10)), by_sample(range(10)))
    assert (found.delta, found.interval, found.p, found.p_adjusted) == (0, (0, 0), 1, 1)


@pytest.mark.parametrize("samples", [{}, {"p0": 1.0}])
def test_without_samples_effects_are_shown_and_not_tested(samples):
    match = Match(record(2.5), record(2.0))
    [[found]] = moved_effects([match], {place(): samples}, {place(): by_sample([1] * 9)})
    assert (found.delta, found.interval, found.p_adjusted, found.n) == (0.5, None, None, 0)
    assert not found.significant


def test_a_loss_in_each_of_eight_relations_is_found_among_all_effects_of_a_run():
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(40)]
    matches = [Match(record(name=n), record(name=n)) for n in names]
    before = {place(n): by_sample(rng.normal(1, 0.3, 8)) for n in names}
    chance = {place(n): by_sample(rng.normal(0, 0.1, 8)) for n in names}
    now = {at: {u: v + chance[at][u] for u, v in of.items()} for at, of in before.items()}
    now[place("n0")] = {u: v - 0.3 + chance[place("n0")][u] for u, v in before[place("n0")].items()}
    [lost], *others = moved_effects(matches, now, before)
    assert lost.p == 1 / 128  # eight samples: two of all 256 patterns reach it
    assert lost.significant  # Holm: 40 / 128
    assert lost.p_adjusted >= lost.p
    assert not any(m.significant for [m] in others)


def test_two_runs_of_nothing_but_chance_rarely_differ():
    rng = np.random.default_rng(3)
    significant = 0
    for seed in range(60):
        base = rng.normal(1, 1, 30)
        draws = [by_sample(base + rng.normal(0, 0.5, 30)) for _ in range(2)]
        match = Match(record(), record())
        [[found]] = moved_effects([match], {place(): draws[0]}, {place(): draws[1]}, seed=seed)
        significant += found.significant
    assert significant <= 8  # 3 expected; more in 0.3 % of draws


def differs(share, seed, sample_of):
    """Whether a release that moves relations up and down, by 0 on average, is called different.

    Of the variance of pairs a share is common to those of a relation.
    """
    rng = np.random.default_rng(seed)
    relation, pair = np.arange(200) % 16, np.arange(200)
    change = rng.normal(0, share**0.5, 16)[relation] + rng.normal(0, (1 - share) ** 0.5, 200)
    names = sample_of(relation, pair)
    before, now = (samples.by_sample(names, values) for values in (0 * change, change))
    [[found]] = moved_effects([Match(record(), record())], {place(): now}, {place(): before})
    return found.significant


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_relations_that_move_together_are_no_change(share, monkeypatch):
    monkeypatch.setattr(paired, "PERMUTATIONS", 999)
    monkeypatch.setattr(paired, "RESAMPLES", 99)
    by_relation = np.mean([differs(share, seed, sampled) for seed in range(300)])
    assert by_relation <= 1.5 * 0.05
    by_pair = np.mean([differs(share, seed, lambda _, pair: pair) for seed in range(100)])
    assert by_pair > 1.5 * 0.05  # the same test where pairs are the samples


def test_effects_that_are_not_numbers_have_no_difference():
    match = Match(record(float("nan")), record(float("inf")))
    [[found]] = moved_effects([match], {}, {})
    assert (found.before, found.now, found.delta) == (None, None, None)


def test_what_was_not_measured_has_no_effects():
    gone = record(outcome=Outcome.NOT_MEASURED)
    assert moved_effects([Match(gone, record()), Match(record(), None)], {}, {}) == [[], []]


# ---- What may be compared


def made(items=20, seed=0, **constants):
    prompts = geography_crossed(items, seed)
    facts = {
        "hash": prompts.hash,
        "template_hash": prompts.template_hash,
        "pairs": len(prompts.pairs),
    }
    plan = plan_of({"ALPHA": 0.01, "D": {"head": 1.0}} | constants)
    numbers = {"items": items, "seed": seed, "permutations": 100, "device": "cpu"}
    return Made("h2", Named(prompts.name, facts), plan, numbers)


def edit_of(one):
    """Its materials with a prompt edited."""
    return Named(one.materials.name, one.materials.facts | {"hash": "f" * 64})


def test_like_can_be_compared_with_like():
    assert differences(made(), made()) == []
    other = replace(made(), numbers=made().numbers | {"device": "cuda", "batch_size": 9})
    assert differences(other, made()) == []


def test_prompts_in_a_chat_template_are_not_those_without():
    plain, chat = (replace(made(), numbers={"chat_template": used}) for used in (False, True))
    assert differences(chat, plain) == ["--chat-template False -> True"]
    assert differences(chat, made()) == []  # an earlier run that does not say


def test_arguments_of_the_template_are_not_none():
    plain, more = (replace(made(), numbers=given) for given in ({}, {"template_args": {"a": 1}}))
    for now, before in ((more, plain), (plain, more)):
        [said] = differences(now, before)
        assert said.startswith("--template-arg")
    assert differences(more, more) == []


def test_every_constant_that_differs_is_named_with_both_values():
    [said] = differences(made(ALPHA=0.05, D={"head": 1.2}, NEW=3), made())
    assert "the plan of h2 (hash " in said
    assert said.endswith("): ALPHA 0.01 -> 0.05, D.head 1.0 -> 1.2, NEW new, 3")
    [said] = differences(made(), made(OLD="x"))
    assert said.endswith("): OLD x -> gone")


def test_other_materials_are_named_with_their_hashes():
    now, before = made(seed=1), made()
    old, new = (m.materials.facts["hash"][:8] for m in (before, now))
    assert differences(now, before)[0] == "--seed 0 -> 1"
    assert f"materials geography-crossed (hash {old} -> {new}): " in differences(now, before)[1]
    edited = replace(made(), materials=edit_of(made()))
    [said] = differences(edited, made())
    assert said.endswith("other prompts under the same templates")


def test_another_number_of_items_is_shared_only_if_the_materials_can_be_drawn_again():
    now, before = made(items=30), made()
    [said] = differences(now, before)
    assert said.endswith("--items 20 -> 30")
    assert differences(now, before, shared=True) == []
    edited = replace(before, materials=edit_of(before))
    assert differences(now, edited, shared=True) != []


def test_fewer_items_of_a_seed_are_a_part_of_more():
    few, many = geography_crossed(20, 5), geography_crossed(50, 5)
    assert set(few.items) <= set(many.items)


def test_the_numbers_of_a_run_are_checked_before_it_starts(tmp_path):
    numbers = {"seed": 0, "items": 200, "permutations": 1000, "resamples": 1000, "twins": 3}
    old = kept(tmp_path, [record(provenance=numbers)])
    matching.check_numbers(Plan(), old, shared=False)
    matching.check_numbers(Plan(items=9), old, shared=True)
    with pytest.raises(BaselineError, match="--twins 3 -> 0; run with the same"):
        matching.check_numbers(Plan(twins=0), old, shared=True)


@pytest.mark.parametrize("asked", [["geography"], ["mine", "cells"], ["geography-crossed"], []])
def test_materials_that_are_partly_the_same_are_compared(tmp_path, asked):
    before = [Named("geography-crossed"), Named("cells@chains4-shots4-told-steps2")]
    old = kept(tmp_path, [record(materials=m) for m in before])
    matching.check_materials(asked, old)


def test_wholly_other_materials_are_refused_before_anything_is_measured(tmp_path):
    old = kept(tmp_path, [record(materials=Named("geography-crossed"))])
    with pytest.raises(BaselineError, match=r"no materials are common to both \(geography-crossed"):
        matching.check_materials(["geo", "mine"], old)


def models(now, before, told=None):
    return match_models(now, Past("old", None, None, [record(model=m) for m in before]), told)


def test_models_are_matched_by_name_and_the_only_one_left_with_the_only_one_left():
    assert models(["a", "b"], ["b", "a"]) == {"a": "a", "b": "b"}
    assert models(["new"], ["old"]) == {"new": "old"}
    assert models(["a", "new"], ["old", "a"]) == {"a": "a", "new": "old"}
    assert models(["a"], ["a", "b"]) == {"a": "a"}
    assert models(["a", "b"], ["a"]) == {"a": "a"}
    assert models(["n"], ["a", "b"], {"n": "b"}) == {"n": "b"}
    with pytest.raises(BaselineError, match=r"old was run on a, b, this on n: .*=a"):
        models(["n"], ["a", "b"])
    with pytest.raises(BaselineError, match="no model 'c'; known are a, b"):
        models(["n"], ["a", "b"], {"n": "c"})


def test_what_was_not_measured_is_matched_though_its_materials_have_another_name(tmp_path):
    materials = Named("geography-crossed.jsonl")
    now = record(materials=materials, outcome=Outcome.NOT_MEASURED)
    old = Baseline(kept(tmp_path, [record()]), {MODEL: MODEL})
    assert matching.matches([now], old)[0].before is not None
    assert matching.matches([record(materials=materials)], old)[0].before is None


def test_a_refused_verdict_keeps_what_it_was_refused_for(tmp_path):
    baseline = Baseline(kept(tmp_path, [record()]), {MODEL: MODEL})
    said = Earlier("b", None, None, None, Change.NOT_COMPARED, differences=("ALPHA 1 -> 2",))
    refused = record(outcome=Outcome.NOT_MEASURED, baseline=said)
    [found] = changes.against([refused], {}, baseline)
    assert found.baseline.change == "not compared"
    assert found.baseline.differences == ("ALPHA 1 -> 2",)


def test_every_record_with_a_baseline_validates(tmp_path):
    before = sample()
    now = [replace(v, outcome=Outcome.REFUTED) if i % 2 else v for i, v in enumerate(sample())]
    old = kept(tmp_path, before)
    for found in changes.against(now, {}, Baseline(old, {m: m for m in old.models})):
        records.validate(found.to_json())
        assert found.baseline.name == "old"


# ---- Samples and baselines on disk


def test_samples_read_back_as_they_were_written(tmp_path):
    values = {place(): by_sample([1, 2]), place("other"): {"ü|n": 0.25}}
    assert kept(tmp_path, [record()], samples=values).samples() == values
    assert read_samples(tmp_path / "nowhere") == {}


def test_samples_of_several_workers_are_merged_and_those_of_the_last_run_taken_away(tmp_path):
    run = Run(tmp_path / "report.html")
    common = {"model": MODEL, "materials": "m", "claim_id": "h1", "criterion": "controlled"}
    for name in ("a", "b"):
        worker = Run(run.report, run.run_id)
        worker.save_samples({"e": by_sample([1, 2])}, prediction_id=name, **common)
    Run(run.report).save_samples({"e": by_sample([9])}, prediction_id="killed", **common)
    run.add(record())
    run.finish()
    assert {p.prediction_id for p in read_samples(tmp_path)} == {"a", "b"}
    assert not (tmp_path / "samples.parts").exists()
    again = Run(run.report)
    again.add(record())
    assert read_samples(tmp_path) == {}


@pytest.mark.parametrize("values", [{"other": {"u": 1.0}}, {"strength": {"u": float("nan")}}])
def test_samples_of_nothing_and_of_no_number_are_refused(values):
    with pytest.raises(ValueError, match=r"samples (are given for|of) '(other|strength)'"):
        Finding(BASE.evidence, samples=values)


def test_a_damaged_table_is_named(tmp_path):
    old = kept(tmp_path, [record()])
    for name in ("samples", "components"):
        (old.folder / f"{name}.parquet").write_text("not a table")
        with pytest.raises(BaselineError, match=f"{name}.parquet is not a table of {name}"):
            getattr(old, name)()


def test_a_baseline_leaves_the_twins_out(tmp_path):
    run = kept(tmp_path, sample(), table=components())
    folder = past.keep(run.folder, "one", tmp_path / "b")
    assert set(pd.read_parquet(folder / "components.parquet")["source"]) == {"model"}
    assert [p.name for p in past.listing(tmp_path / "b")] == ["0001_one"]
    assert past.keep(run.folder, "two", tmp_path / "b").name == "0002_two"
    shutil.rmtree(tmp_path / "b" / "0001_one")
    assert past.keep(run.folder, "one", tmp_path / "b").name == "0003_one"


def test_a_baseline_keeps_the_verdicts_of_its_controls(tmp_path):
    run = kept(tmp_path, sample())
    records.write_verdicts(run.folder / records.CONTROLS_NAME, sample()[:2])
    folder = past.keep(run.folder, "one", tmp_path / "b")
    assert records.read_controls(folder) == records.read_controls(run.folder) != []


def test_an_empty_run_is_nothing_to_compare_with(tmp_path):
    path = records.write_verdicts(tmp_path / "verdicts.json", [])
    with pytest.raises(BaselineError, match="holds no verdicts"):
        past.find(str(path), tmp_path)


# ---- Components and timelines


def test_components_that_pass_are_compared_by_kind(tmp_path):
    table = components((MODEL,), claims=("h2",))
    heads = table[(table.source == "model") & (table.criterion == "controlled")].copy()
    heads["passed"] = False
    heads.iloc[:4, heads.columns.get_loc("passed")] = True
    after = heads.copy()
    after.iloc[:2, after.columns.get_loc("passed")] = False
    after.iloc[0, after.columns.get_loc("effect")] += 5
    old, new = (
        kept(tmp_path, sample((MODEL,)), name, table=t) for name, t in (("a", heads), ("b", after))
    )
    [found] = moved.moved_components(new, Baseline(old, {MODEL: MODEL}))
    assert (found.before, found.now, found.jaccard) == (4, 2, 0.5)
    assert len(found.largest) == 4
    assert found.largest[0].name == "L0 H0 Gini coefficient of attention"
    assert found.largest[0].now - found.largest[0].before == pytest.approx(5)
    assert (
        "heads: 4 -> 2 pass, Jaccard 0.50; most: L0 H0 Gini coefficient of attention"
        in moved.text(found)
    )


def test_components_of_two_predictions_of_a_claim_are_compared_apart(tmp_path):
    """Retrieval and composing each save every head, on the same materials."""
    table = components((MODEL,), claims=("h2",))
    heads = table[(table.source == "model") & (table.criterion == "controlled")]
    parts = {"retrieval": heads.assign(passed=True), "composing": heads.assign(passed=False)}
    saved = pd.concat(t.assign(prediction_id=part) for part, t in parts.items())
    found = [replace(record(), claim_id="h2", prediction_id=part, part=part) for part in parts]
    run = kept(tmp_path, found, table=saved)
    found = moved.moved_components(run, Baseline(run, {MODEL: MODEL}))
    assert {m.part: (m.before, m.now) for m in found} == {
        "retrieval": (16, 16),
        "composing": (0, 0),
    }
    assert all(m.steady for m in found)
    assert any(" h2 retrieval controlled heads: 16 -> 16 " in moved.text(m) for m in found)


def test_models_of_another_shape_have_no_overlap(tmp_path):
    tables = [components((MODEL,), heads=n, claims=("h2",)) for n in (4, 8)]
    old, new = (kept(tmp_path, sample((MODEL,)), f"s{i}", table=t) for i, t in enumerate(tables))
    found = moved.moved_components(new, Baseline(old, {MODEL: MODEL}))
    assert all(not m.same_shape and np.isnan(m.jaccard) and not m.largest for m in found)
    assert "do not have the same heads" in moved.text(found[0])


def test_the_last_release_is_judged_against_the_first(tmp_path):
    releases = [
        kept(tmp_path, [record(value, name="x"), record(2.0, name="y")], name)
        for name, value in (("a", 2.0), ("b", 0.0), ("c", 3.0))
    ]
    found = compare(releases)
    assert [c.outcome for c in found.rows[0].cells] == ["supported", "refuted", "supported"]
    assert [c.effect for c in found.rows[0].cells] == [2.0, 0.0, 3.0]
    assert not found.regressed
    assert not found.rows[0].steady
    assert found.rows[1].steady
    assert compare(releases[:2]).regressed
    assert not compare(releases[1:]).regressed


def test_what_is_gone_is_a_regression_if_it_was_supported_and_may_not_be_gone(tmp_path):
    old = kept(tmp_path, [record(name="x"), record(name="y"), record(0.0, name="z")], "old")
    new = kept(tmp_path, [record(name="x")], "new")
    found = compare([old, new])
    y, z = (record(name=name).prediction_id for name in "yz")
    assert [r.prediction_id for r in found.gone] == [y, z]
    assert [r.prediction_id for r in found.missed] == [y]
    assert found.regressed
    allowed = compare([old, new], allow_gone=True)
    assert (len(allowed.gone), allowed.missed, allowed.regressed) == (2, [], False)
    refuted = kept(tmp_path, [record(name="x"), record(name="y")], "refuted")
    assert not compare([refuted, old]).regressed


def test_runs_on_other_materials_altogether_are_not_compared(tmp_path):
    old = kept(tmp_path, [record(name="x"), record(name="y")], "old")
    mine = [
        replace(record(name=name), materials=replace(record().materials, name="mine"))
        for name in "xy"
    ]
    with pytest.raises(BaselineError, match=r"no materials are common to both .* mine here"):
        compare([old, kept(tmp_path, mine, "new")])
    both = [record(name="x"), *mine]
    assert compare([old, kept(tmp_path, both, "both")], allow_gone=True).gone


def test_what_was_made_otherwise_is_refused_or_left_out(tmp_path):
    other = record(0.0, name="x", plan=plan_of({"ALPHA": 0.5}))
    old = kept(tmp_path, [record(name="x"), record(name="y")], "old")
    new = kept(tmp_path, [other, record(name="y")], "new")
    with pytest.raises(BaselineError, match=r"new cannot be compared with old: .*ALPHA 0.01 -> "):
        compare([old, new])
    found = compare([old, new], leave_out=True)
    assert [row.change for row in found.rows] == ["not compared", "as before"]
    assert found.rows[0].cells[0].outcome is None
    assert not found.regressed


def test_what_a_run_itself_refused_hides_no_regression_against_another_run(tmp_path):
    refused = Earlier("b", None, None, None, Change.NOT_COMPARED, differences=("ALPHA 1 -> 2",))
    old = kept(tmp_path, [record()], "old")
    new = kept(tmp_path, [replace(record(0.0), baseline=refused)], "new")
    found = compare([old, new])
    assert [row.change for row in found.rows] == ["regressed"]
    assert found.regressed


def test_provenance_that_differs_is_named_and_no_reason(tmp_path):
    made = record()
    old = replace(made, provenance=made.provenance | {"torch": "1.0", "device": "cuda"})
    new = replace(made, model=Named(MODEL, made.model.facts | {"dtype": "bfloat16"}))
    found = compare([kept(tmp_path, [old], "old"), kept(tmp_path, [new], "new")])
    said = ["torch 1.0 -> 2.9.1", "device cuda -> cpu", "dtype float32 -> bfloat16"]
    assert list(found.free) == said
    assert found.rows[0].change == "as before"


def test_the_file_of_a_run_is_read_beside_its_folder(tmp_path):
    old = kept(tmp_path, [record()], samples={place(): by_sample([1, 2])})
    whole = past.find(str(old.folder / "verdicts.json"), tmp_path)
    assert whole.samples() == old.samples()
    assert records.read_verdicts(old.folder) == whole.verdicts
    assert paired.METHOD


def test_a_chat_template_that_changed_is_named_and_so_are_weights_that_did_not(tmp_path):
    made = record()
    first, second, other = (
        replace(made, model=Named(name, made.model.facts | {"weights": "w", "template": template}))
        for name, template in ((MODEL, "a" * 64), (MODEL, "b" * 64), ("step-2", "a" * 64))
    )
    old, new, step = (
        kept(tmp_path, [verdict], name)
        for verdict, name in ((first, "old"), (second, "new"), (other, "step"))
    )
    assert list(compare([old, new]).models) == [
        f"{MODEL}: the chat template changed (hash aaaaaaaa -> bbbbbbbb), the weights are the same"
    ]
    assert list(compare([old, step]).models) == [f"step-2: the same weights as {MODEL}"]
    assert list(compare([old, kept(tmp_path, [first], "again")]).models) == []
