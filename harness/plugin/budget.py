"""`--budget`: fewer items, and in the end fewer relations, until a run fits into a time."""

from dataclasses import replace

from harness.findings.processes.materials import LEAST_RELATIONS
from harness.materials.cell_sets import MOST_CHAINS_ASKED, relations_asked
from harness.plugin.forecasting import Forecasts, together
from harness.study.forecast import rough
from harness.study.plan import Plan

# Of each task. The last asks in eight relations of the cells: fewer cannot reach alpha.
ITEMS = (160, 128, 96, 64)


def within(budget: float, plan: Plan, forecasts: Forecasts) -> tuple[Plan, float]:
    """The plan with as many items as fit, and the seconds it takes; the smallest if none does.

    As expected: where the model meets what claims require, more is measured, and it takes longer.

    Args:
        budget: Seconds.
        plan: As it was asked for.
        forecasts: With the speed of a model.
    """
    for items in (plan.items, *(n for n in ITEMS if n < plan.items)):
        smaller = replace(plan, items=items)
        each = [f.left() for f in forecasts.under(smaller)]
        seconds = together(each, forecasts.workers)
        if seconds <= budget:
            break
    return (_cut(plan, smaller, budget), seconds)


def _cut(plan: Plan, smaller: Plan, budget: float) -> Plan:
    """The smaller plan with a sentence on what it leaves out."""
    if smaller.items == plan.items:
        return plan
    before, now = relations_asked(plan.items), relations_asked(smaller.items)
    relations = f", in {now} or more of {before} relations of the cells" if now < before else ""
    said = f"--budget {budget:.0f}s: {smaller.items} items of each task instead of {plan.items}"
    return replace(smaller, cut=said + relations)


def too_few(items: int) -> list[str]:
    """What to say beforehand of so few items that controlled claims may be inconclusive."""
    if relations_asked(items) >= LEAST_RELATIONS:
        return []
    two, three, four = (2 * LEAST_RELATIONS * chains for chains in (2, 3, MOST_CHAINS_ASKED))
    return [
        f"--items {items} may be too few: controlled claims need {LEAST_RELATIONS} relations, and "
        f"so {two} items where stories have two chains, {three} with three (as some reference "
        f"models are asked), {four} with four"
    ]


def sentences(budget: float, asked: Plan, planned: Plan, seconds: float) -> list[str]:
    """What was planned, for the terminal."""
    lines = [planned.cut] if planned.cut else []
    if seconds > budget:
        lines.append(
            f"--budget {budget:.0f}s is too short: {planned.items} items take {rough(seconds)}, "
            "and fewer decide nothing; leave out claims with -k, or take --twins 0"
        )
    elif not planned.cut:
        lines.append(f"--budget {budget:.0f}s: all {asked.items} items fit")
    return lines
