"""The only place of Ray: functions on processors, GPUs and machines, and how they die."""

import os
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.files import import_path
from harness.fleet.entries import FleetError
from harness.fleet.work import KilledError, Needs

Result = TypeVar("Result")
DEATHS = {  # Ray's errors, in words
    "NodeDiedError": "its machine was lost",
    "OutOfMemoryError": "its machine had no memory left",
    "WorkerCrashedError": "its process was killed",
}
ADDRESS = re.compile(r"Node IP: ([^,\s]+)")  # in what Ray says of a machine


@dataclass(frozen=True, slots=True)
class Died:
    """A function that did not come to its end.

    Attributes:
        reason: What happened, in words that follow "its task died: ".
        again: Whether the cause was outside of it: its process, its run or its machine was lost.
    """

    reason: str
    again: bool


class Cluster:
    """Ray on this machine, or a running cluster, whose machines come and go."""

    def __init__(self, address: str | None = None, cpus: int | None = None) -> None:
        """Start Ray here, or join the cluster at an address.

        Raises:
            FleetError: If Ray is not installed, or the cluster does not answer.
        """
        try:
            import ray  # noqa: PLC0415 - an extra
        except ImportError:
            raise FleetError(
                "a fleet runs on Ray, which is not installed: pip install -c constraints.txt "
                "-e '.[fleet]'."
            ) from None
        self._ray: Any = ray
        # Workers import what the driver imports; machines of a cluster have it installed.
        os.environ["PYTHONPATH"] = import_path()
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray gives its workers 15
        here = {"num_cpus": cpus, "include_dashboard": False} if address is None else {}
        try:
            _answers(address or "")
            ray.init(address=address or "local", log_to_driver=False, logging_level="error", **here)
        except (ConnectionError, ValueError, RuntimeError, OSError, OverflowError) as error:
            raise FleetError(
                f"there is no Ray cluster at {address or 'this machine'} ({_line(str(error))}): "
                "start it with `ray start --head`, or leave --address out to run here."
            ) from error

    def machines(self) -> list[Needs]:
        """What each machine has, of those that are there now."""
        return [
            Needs(int(has.get("CPU", 0)), int(has.get("GPU", 0)), int(has.get("memory", 0)))
            for node in self._ray.nodes()
            if node["Alive"] and (has := node["Resources"])
        ]

    def submit(self, function: Callable[..., Result], *arguments: Any, needs: Needs) -> Any:
        """Run a function once, where there is room; a handle for `ready`."""
        remote = self._ray.remote(function).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=0 if needs.gpus else needs.memory,  # of the machine; a GPU's is its own
            max_retries=0,  # Ray would try again without a word
        )
        return remote.remote(*arguments)

    def ready(self, handles: Iterable[Any], seconds: float) -> list[tuple[Any, Any]]:
        """Handles that are done within some time, each with its result or a `Died`."""
        waiting = list(handles)
        if not waiting:
            return []
        done, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds)
        return [(handle, self._result(handle)) for handle in done]

    def _result(self, handle: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(handle)
        except errors.RayTaskError as error:  # what the function raised
            cause = error.cause
            if isinstance(cause, KilledError):
                return Died(str(cause), again=True)
            return Died(_line(f"{type(cause).__name__}: {cause}"), again=False)
        except errors.RayError as error:
            return Died(_how(error), again=True)

    def close(self) -> None:
        """Let go of the cluster; of one on this machine, end it and what runs on it."""
        self._ray.shutdown()


def _answers(address: str) -> None:
    """Raise OSError if nobody listens at a HOST:PORT; Ray itself takes minutes to say so."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _how(error: Exception) -> str:
    words, at = DEATHS.get(type(error).__name__), ADDRESS.search(str(error))
    if words is None:
        return _line(str(error))
    return f"{words} ({at[1]})" if at else words


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def gpu_memory() -> int:
    """Bytes of the GPU that Ray gave this process."""
    import torch  # noqa: PLC0415 - seconds to import

    return int(torch.cuda.get_device_properties(0).total_memory)
