"""Every head of the first layer changes something, as small a claim as reads and writes it all.

For `benchmarks.kills`: each prediction sweeps and hands over samples and a figure.
"""

import pytest

from harness.findings.sweeps import swept
from harness.interventions.interventions import ZERO, Intervention
from harness.interventions.sites import Site
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding
from harness.verdicts.plots import Plot, PlotPanel, Series
from harness.verdicts.samples import by_sample

LEAST = 0.0  # nats


@pytest.mark.parametrize("head", range(4))
@pytest.mark.criterion("published")
def test_a_head_changes_the_next_token(study, verdict, head):
    """Without the head the next token is predicted otherwise."""
    effects = swept(study.subject, study.prompts, [Intervention((Site("head", 0, head),), ZERO)])
    values = effects.divergence[0]
    effect = Effect("mean KL divergence", float(values.mean()))
    name = f"head 0.{head}"
    line = Series("prompts", "recall", tuple(range(len(values))), tuple(values.tolist()))
    panels = (PlotPanel(name, (line,)),)
    verdict(
        Finding(
            (Evidence(name, effect, LEAST, ">", n=len(values), decided_by="estimate"),),
            samples={name: by_sample([item.id for item in study.prompts.items], values)},
            plots=(Plot("scatter", name, "KL by prompt.", "", "prompt", "nats", panels),),
        )
    )
