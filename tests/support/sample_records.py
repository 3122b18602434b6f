"""Realistic records and components for the tests of the report, no model needed."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from harness.verdicts.evidence import Component, Control, Effect, Evidence, Family, Gate
from harness.verdicts.judge import Criterion, Finding, Outcome, judge
from harness.verdicts.verdict import ComponentSummary, Known, Named, Verdict, plan_of

NASTY = "evil<script>window.pwned=1</script>\"'&</script><img src=x onerror=window.pwned=1>"
MODELS = ("mini-qwen", "mini-llama")
PUBLISHED = "geography-published"
CROSSED = "geography-crossed"
FEATURES = (
    "resid_norm",
    "resid_mean",
    "attention_entropy",
    "attention_concentration",
    "gate_mean",
    "gate_sparsity",
)
CLAIMS = {
    "h0": "The instrument is fit to measure the rest.",
    "h1": "Layers specialise in recall or in reasoning.",
    "h2": "Attention heads specialise in recall or in reasoning.",
    "h3": "Neurons are specific to recall or to reasoning.",
    "h4": "Specialised components are the same when the facts are drawn again.",
}  # fmt: skip
DESCRIPTION = """Source      Fartale et al. 2025, arXiv:2510.03366.
Materials   geography-crossed; published criterion on geography-published.
Controls    untrained twins; lookup items; shuffled labels.
Selection   chosen on discovery facts, judged on evaluation facts."""


def verdict(claim_id, name, prediction, criterion, finding, model, **changes):
    criterion = Criterion(criterion)
    outcome, reason = (
        judge(finding, criterion)
        if finding.evidence
        else (Outcome.NOT_MEASURED, "RuntimeError: CUDA out of memory at layer 3; try --batch-size")
    )
    materials = PUBLISHED if criterion is Criterion.PUBLISHED else CROSSED
    constants = {
        "THRESHOLD_D": {"layer": 0.5, "head": 1.0} if claim_id != "h3" else 1.0,
        "ALPHA": 0.01,
        "MIN_LAYERS": 5,
    }
    values = {
        "run_id": "20261121-004948-5b5cdd5",
        "created": f"2026-11-21T00:5{claim_id[1]}:10+00:00",
        "claim_id": claim_id,
        "claim": CLAIMS.get(claim_id, f"Claim {claim_id} of the test holds."),
        "prediction_id": f"test_{claim_id}.py::test_{name}[{model}]",
        "prediction": prediction,
        "criterion": criterion,
        "outcome": outcome,
        "reason": reason,
        "model": Named(model, {
            "path": f"fixtures/organisms/{model}",
            "revision": None,
            "weights": "9f2c41d07ab3e655",
            "architecture": "Qwen2ForCausalLM",
            "dtype": "float32",
            "layers": 4,
            "heads": 4,
            "kv_heads": 2,
            "neurons": 384,
        }),
        "materials": Named(materials, {
            "hash": "51c0ffee12ab90d4",
            "n": {"recall": 200, "reasoning": 200, "lookup": 200},
            "template_hash": "aa07bb31",
            "example": "What is the capital of <b>C\u00f4te d'Ivoire</b>? \"Yamoussoukro\" & co",
        }),
        "evidence": finding.evidence,
        "controls": finding.controls,
        "gates": finding.gates,
        "components": ComponentSummary.of(finding.components),
        "notes": finding.notes,
        "plan": plan_of(constants, f"{CLAIMS.get(claim_id)}\n\n{DESCRIPTION}"),
        "provenance": {
            "package": "0.1.0", "git": "5b5cdd5", "python": "3.11.2", "torch": "2.9.1",
            "transformers": "5.20.0", "nnsight": "0.8.1", "device": "cpu", "seed": 0,
            "batch_size": 32,
        },
        "seconds": 3.21,
        "cached": False,
    }  # fmt: skip
    return Verdict(**(values | changes))


def sample(models=MODELS):
    """Two models x h0..h4 x both criteria: every outcome, every kind of evidence."""
    return [v for i, m in enumerate(models) for v in _of_model(m, trained=i == 0)]


def known():
    """Verdicts on models whose circuits are known: four of a positive control, one of them wrong,
    and two of a negative one."""
    planted = Known(
        "positive", "supported", "circuit.json: zeroing either set costs its task alone"
    )
    shared = Known("negative", "refuted", "both tasks run over the same three heads")
    none = Known("positive", "inconclusive", "the planted model knows no other domain")
    of_planted = [v for v in _of_model("planted-a", trained=True) if v.claim_id in ("h2", "h4")]
    of_shared = [v for v in _of_model("shared-a", trained=False) if v.claim_id == "h2"]
    marks = (
        [planted, planted, none, planted],
        [Known("negative", "supported", "as published"), shared],
    )
    return [
        replace(verdict, control=mark)
        for verdicts, of in zip((of_planted, of_shared), marks, strict=True)
        for verdict, mark in zip(verdicts, of, strict=True)
    ]


def steered(model, outcome, reasoning, recall):
    """A verdict of h7 on steering, with the change of either task's logit difference."""
    rows = [
        Evidence("one minus the other", Effect("shares", 0.1 if recall else float("nan")), 0, ">",
                 n=50, key="steering.contrast.reasoning.recall")
    ]  # fmt: skip
    for way, task, change in (("away", "recall", recall), ("toward", "reasoning", reasoning)):
        if change:
            value, low, high = change
            effect = Effect("nats", value, (low, high))
            rows.append(Evidence("change", effect, n=50, key=f"steering.{way}.{task}"))
    changes = {"outcome": Outcome(outcome), "reason": "as it was"}
    finding, said = Finding(tuple(rows)), "Adding it moves the tasks apart."
    return verdict("h7", "steering", said, "controlled", finding, model, **changes)


def _count(name, value, needed, n, published="", **kwargs):
    effect = Effect(name, float(value), method="count")
    return Evidence(f"{name} that pass", effect, needed, ">=", n=n, published=published, **kwargs)


def _twins(values, limit=0):
    return tuple(
        Control(f"untrained twin {i}", float(v), v <= limit, note="components that pass")
        for i, v in enumerate(values, start=1)
    )


def _found(kind, number, layers=4, width=4):
    rng = np.random.default_rng(number)
    return tuple(
        Component(kind, int(i % layers), None if kind == "layer" else int(i // layers % width),
                  float(rng.normal(0, 2)), float(10.0 ** -rng.uniform(2, 9)),
                  ("recall", "reasoning", "mixed")[i % 3])
        for i in range(number)
    )  # fmt: skip


def _d(name, value, spread, threshold, family, **kwargs):
    effect = Effect("d", value, (value - spread, value + spread), method="bootstrap by pair")
    return Evidence(name, effect, threshold, ">", p=2e-4, p_adjusted=0.0009, alpha=0.01,
                    floor=0.0009, family=family, n=100, **kwargs)  # fmt: skip


def _of_model(model, trained):
    heads = Family("heads x metrics", 80, "max-statistic sign flip")
    bonferroni = Family("neurons", 1536, "Bonferroni")
    gate = () if trained else (
        Gate("competence", False, "reasoning accuracy on crossed prompts 0.41, the gate is 0.60"),
    )  # fmt: skip
    exact = Effect("largest difference", 3.1e-7)
    uniform = Effect("KS distance", 0.031, (0.012, 0.058), method="200 shuffles")
    yield verdict(
        "h0",
        "hooked_is_plain",
        "Hooked logits equal plain logits.",
        "controlled",
        Finding((Evidence("hooked minus plain logits", exact, 1e-5, "<=", n=64),)),
        model,
    )
    yield verdict(
        "h0",
        "shuffled_labels",
        "Shuffled labels give uniform p-values.",
        "controlled",
        Finding((Evidence("distance from uniform", uniform, 0.1, "<=", p=0.41, n=200),)),
        model,
    )
    yield verdict(
        "h1",
        "published_criterion",
        "At least a layer in six differs on two features (|d| > 0.5, BH at 0.01).",
        "published",
        Finding(
            (_count("layers", 4, 1, 60, "18 of 28"),),
            _twins([4, 4, 4]),
            components=_found("layer", 4),
        ),
        model,
    )
    yield verdict(
        "h1",
        "held_out",
        "A layer keeps |d| > 0.5 on held-out facts.",
        "controlled",
        Finding(
            (
                _d("strongest layer, held out", 1.84, 0.31, 0.5, heads),
                Evidence(
                    "lookup against reasoning, same layer", Effect("d", 1.12, (0.8, 1.4)), n=100
                ),
            ),
            _twins([0, 0, 0]),
            gate,
            components=_found("layer", 3),
        ),
        model,
    )
    yield verdict(
        "h2",
        "published_criterion",
        "At least 20 of 784 heads, scaled, differ on 3 of 5 metrics.",
        "published",
        Finding(
            (_count("heads", 14, 1, 60, "583 of 784"),),
            _twins([9, 11, 7]),
            components=_found("head", 14),
        ),
        model,
    )
    yield verdict(
        "h2",
        "held_out",
        "Heads keep |d| > 1 on held-out facts, beyond every twin.",
        "controlled",
        Finding(
            (
                _d("median selected head", 2.31 if trained else 0.62, 0.4, 1.0, heads),
                _count("heads", 12 if trained else 0, 1, 100),
            ),
            _twins([0, 0, 0]),
            components=_found("head", 12),
        ),
        model,
    )
    yield verdict(
        "h3",
        "published_criterion",
        "At least 100 of 530,432 neurons, scaled.",
        "published",
        Finding(
            (
                _count(
                    "neurons",
                    1187 if trained else 907,
                    1,
                    60,
                    "163,058 of 530,432",
                    p=1e-14,
                    p_adjusted=3.1e-11,
                    alpha=1e-4,
                    floor=3e-11,
                    family=bonferroni,
                ),
            ),
            _twins([905, 933, 911]),
            components=_found("neuron", 70, width=384),
        ),
        model,
    )
    yield verdict(
        "h3",
        "held_out",
        "Neurons keep their sign and size on held-out facts.",
        "controlled",
        Finding(
            (_count("neurons", 187 if trained else 0, 1, 100),),
            _twins([0, 0, 2]),
            notes=("Twin 3 is the worst of three.",),
            components=_found("neuron", 30, width=384),
        ),
        model,
    )
    yield verdict(
        "h4",
        "published_criterion",
        "80 % hold in five folds.",
        "published",
        Finding(
            (
                Evidence(
                    "consistent in folds",
                    Effect("share", 0.93, (0.88, 0.97)),
                    0.8,
                    ">=",
                    n=60,
                    published="28 of 28",
                ),
            )
        ),
        model,
    )
    if trained:
        finding = Finding(
            (
                Evidence(
                    "overlap over redrawn facts",
                    Effect("Jaccard", 0.71, (0.64, 0.79)),
                    0.8,
                    ">",
                    n=100,
                ),
            )
        )
    else:
        finding = Finding(())
    yield verdict(
        "h4",
        "redrawn",
        "The same components are found on redrawn facts.",
        "controlled",
        finding,
        model,
    )


def components(models=MODELS, layers=4, heads=4, neurons=384, claims=("h1", "h2", "h3")):
    """The long table: a row a component and source, as `components.parquet` holds it."""
    rng = np.random.default_rng(1)
    frames = []
    for model in models:
        for criterion, materials in (("published", PUBLISHED), ("controlled", CROSSED)):
            for source in ("model", "twin 1", "twin 2", "twin 3"):
                live = source == "model" or criterion == "published"
                head = {"model": model, "materials": materials, "criterion": criterion,
                        "source": source, "contrast": "recall minus reasoning"}  # fmt: skip
                scale = 2.0 if live else 0.1
                parts = {
                    "h1": ("layer", layers, len(FEATURES), 0.5),
                    "h2": ("head", layers, heads, 1.0),
                    "h3": ("neuron", layers, neurons, 1.0),
                }
                for claim_id in claims:
                    kind, rows, columns, bound = parts[claim_id]
                    effect = rng.normal(0, scale, rows * columns)
                    frames.append(_frame(head, claim_id, kind, columns, effect, bound))
    return pd.concat(frames, ignore_index=True)


def _frame(head, claim_id, kind, columns, effect, bound):
    at = np.arange(len(effect))
    within = at % columns
    metric = np.array(FEATURES)[within] if kind == "layer" else "attention_gini"
    name = "published_criterion" if head["criterion"] == "published" else "held_out"
    return pd.DataFrame(
        {
            **head,
            "claim_id": claim_id,
            "prediction_id": f"test_{claim_id}.py::test_{name}[{head['model']}]",
            "kind": kind,
            "layer": at // columns,
            "index": -1 if kind == "layer" else within,
            "metric": metric,
            "effect": effect,
            "effect_discovery": effect * 1.1,
            "q": np.exp(-np.abs(effect) * 4),
            "passed": np.abs(effect) > bound,
            "type": np.where(effect > 0, "recall", "reasoning"),
        }
    )


def large(models, claims=11, each=3):
    """Records, components and plots of a run of that size, each claim with `each` its predictions.

    As dense as a run of the hypotheses (five predictions a claim and model, five pieces of evidence
    each, 62 figures on nine claims and two models): 6, 6 and 4 a claim and model.
    """
    from tests.support.sample_plots import entries

    names = tuple(f"model-{i}" for i in range(models))
    found, plots = [], []
    for claim in range(claims):
        of_claim = [r for r in sample(names) if r.claim_id == f"h{claim % 5}"]
        for again in range(each):
            for record in of_claim:
                evidence = (record.evidence * 6)[:6]
                prediction = f"{record.prediction_id}-{again}"
                if again:
                    found.append(replace(record, claim_id=f"h{claim}", prediction_id=prediction,
                                         evidence=evidence))  # fmt: skip
                else:  # the one that saved its components
                    found.append(replace(record, claim_id=f"h{claim}", evidence=evidence))
        for name in names:
            for entry in entries():
                plots.append(replace(entry, model=name, claim_id=f"h{claim}"))
    return found, components(names, layers=14, heads=14, neurons=500), plots


def answers(model="mini-qwen", materials=CROSSED):
    """Twenty prompts of each task; recall is right in all, reasoning in every second."""
    rows = []
    for task in ("recall", "reasoning"):
        for at in range(20):
            right = task == "recall" or at % 2 == 0
            rows.append(
                {"model": model, "materials": materials, "item": f"{task}-{at}", "task": task,
                 "pair": str(at), "split": "discovery", "prompt": f"{NASTY} {task} {at}?\nIt is",
                 "answer": f"A{at}", "options": json.dumps([f"B{at}", f"C{at}"]),
                 "chosen": f"A{at}" if right else f"B{at}", "right": right, "greedy": right,
                 "log_probability": -0.125, "best_other": -2.5 if right else -0.1}
            )  # fmt: skip
    return pd.DataFrame(rows)
