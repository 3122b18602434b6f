"""How long a calibration will take, said before it starts, from what its parts cost once."""

from collections.abc import Mapping

from harness.calibration.jobs import chains, jobs_of
from harness.calibration.settings import CalibrationSettings
from harness.verdicts import typeset

USUAL = CalibrationSettings()
# Seconds of one core, of a run or a network with the usual settings, as measured in November 2026.
OF_A_RUN = {"controls": 110, "organisms": 200, "power": 150, "consistency": 500}
OF_A_NETWORK = 60
# Of a model: to measure it; a thousand shuffles with their same-process contrasts on activations;
# 368 of each on effects.
OF_A_MODEL, OF_SHUFFLES, OF_EFFECTS = 90, 200, 150


def seconds(settings: CalibrationSettings, cores: int) -> float:
    """Of a whole calibration by the clock, if nothing is stored yet and the cores are idle."""
    each: Mapping[str, float] = OF_A_RUN
    of_runs = sum(each[job.part] * job.items / USUAL.items for job in jobs_of(chains(settings)))
    of_models = of_networks = 0.0
    if "processes" in settings.parts:
        of_models = len(settings.processes) * (
            OF_A_MODEL * settings.items / USUAL.items
            + OF_SHUFFLES * settings.shuffles / USUAL.shuffles
            + OF_EFFECTS * settings.effect_shuffles / USUAL.effect_shuffles
        )
    if "programs" in settings.parts:
        of_networks = 2 * len(settings.programs) * settings.program_seeds * OF_A_NETWORK
    return of_models + (of_runs + of_networks) / cores


def forecast(settings: CalibrationSettings, cores: int) -> str:
    """In words: `about 4 h on 2 idle cores`."""
    return f"about {typeset.duration(seconds(settings, cores))} on {cores} idle cores"
