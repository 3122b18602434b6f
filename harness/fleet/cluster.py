"""The only place of Ray: functions on processors, GPUs and machines, retried where they die."""

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from harness.files import DATA
from harness.fleet.entries import FleetError
from harness.fleet.work import KilledError, Needs

RETRIES = 3
Result = TypeVar("Result")


class Cluster:
    """Ray on this machine, or a running cluster.

    Attributes:
        largest: What the largest machine has.
        cpus, gpus: Of all machines.
    """

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
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(DATA), os.environ.get("PYTHONPATH", "")))
        )
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray gives its workers 15
        here = {"num_cpus": cpus, "include_dashboard": False} if address is None else {}
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level="error", **here)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise FleetError(
                f"there is no Ray cluster at {address or 'this machine'} ({reason}): start it with "
                "`ray start --head`, or leave --address out to run here."
            ) from error
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.largest = max((_needs(m) for m in machines), key=lambda n: (n.gpus, n.memory))
        self.cpus = sum(_needs(m).cpus for m in machines)
        self.gpus = sum(_needs(m).gpus for m in machines)

    def submit(self, function: Callable[..., Result], *arguments: Any, needs: Needs) -> Any:
        """Run a function where there is room; a handle for `ready`.

        It runs again if its process, its run or its machine dies.
        """
        remote = self._ray.remote(function).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=0 if needs.gpus else needs.memory,  # of the machine; a GPU's is its own
            max_retries=RETRIES,
            retry_exceptions=[KilledError],
        )
        return remote.remote(*arguments)

    def ready(self, handles: Iterable[Any], seconds: float) -> list[tuple[Any, Any]]:
        """Handles that are done within some time, each with its result or the error it died of."""
        waiting = list(handles)
        if not waiting:
            return []
        done, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds)
        return [(handle, self._result(handle)) for handle in done]

    def _result(self, handle: Any) -> Any:
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayError as error:
            return error

    def close(self) -> None:
        """Let go of the cluster; of one on this machine, end it and what runs on it."""
        self._ray.shutdown()


def _needs(resources: dict[str, float]) -> Needs:
    return Needs(
        int(resources.get("CPU", 0)), int(resources.get("GPU", 0)), int(resources.get("memory", 0))
    )


def gpu_memory() -> int:
    """Bytes of the GPU that Ray gave this process."""
    import torch  # noqa: PLC0415 - seconds to import

    return int(torch.cuda.get_device_properties(0).total_memory)
