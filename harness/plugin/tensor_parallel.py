"""A run in several processes: the first runs the tests, the others hold parts of the weights."""

import os

import pytest

from harness.plugin.options import option_of

# ruff: noqa: PLC0415 - torch loads here


def begin(config: pytest.Config, count: int) -> int | None:
    """Join the processes that torchrun started; in all but the first, stay until the run ends.

    Args:
        config: Of the run.
        count: How many processes were asked for.

    Returns:
        The exit status of a process that has no tests to run; None in the first.

    Raises:
        pytest.UsageError: If torchrun did not start as many, or an option does not go with it.
    """
    first = os.environ.get("RANK", "0") == "0"
    wrong = _wrong(config, count)
    if wrong and not first:
        return pytest.ExitCode.USAGE_ERROR  # the first process says why
    if wrong:
        raise pytest.UsageError(f"--tensor-parallel {count} {wrong}")
    from harness.adapter import parts, processes

    processes.join()
    config.add_cleanup(parts.leave)
    if first:
        return None
    try:
        parts.serve()
    except KeyboardInterrupt:
        return pytest.ExitCode.INTERRUPTED
    return pytest.ExitCode.OK


def _wrong(config: pytest.Config, count: int) -> str:
    """What keeps the run from starting; '' if nothing does."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != count:
        return (
            f"runs in {count} processes, and {started} {'was' if started == 1 else 'were'} "
            f"started: begin the command with torchrun --nproc-per-node {count} -m pytest."
        )
    if getattr(config.option, "numprocesses", None):
        return "has one process measure, and -n several: leave -n out."
    if option_of(config, "--device") != "auto" or option_of(config, "--device-map") is not None:
        return "places a model itself: leave out --device and --device-map."
    import torch

    gpus, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", count))
    if torch.cuda.is_available() and gpus < here:
        return f"needs as many GPUs, and this machine has {gpus}: divide over fewer."
    return ""
