"""The Ray that the models run on: joined where there is one, else started in this process."""

import logging
import os
from typing import Final

import ray

from contract.errors import EndpointError
from serving.config import MIB

logger = logging.getLogger(__name__)

# Paths, answers and uploads pass through Ray's store, never the pixels of a file that a replica can open.
_OBJECT_STORE_BYTES: Final = 512 * MIB
_RAY_ATTEMPTS: Final = 3


def join_ray() -> bool:
    """Join or start Ray; tell whether this process started it.

    A Ray that this process has joined is used as it is; else the cluster of RAY_ADDRESS is joined; else a local one
    starts, without dashboard or telemetry.

    Raises:
        EndpointError: no cluster answers, or none starts.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # Serve tells every step on standard error
    if ray.is_initialized():
        return False
    if not os.environ.get("RAY_ADDRESS"):
        start_local_ray()
        return True
    try:
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError) as error:
        raise EndpointError(f"RAY_ADDRESS {os.environ['RAY_ADDRESS']}: no Ray cluster answers there") from error
    return False


def start_local_ray(*, num_cpus: int | None = None, object_store_bytes: int = _OBJECT_STORE_BYTES) -> None:
    """Start a Ray of this process alone, without dashboard or telemetry.

    Ray gives its own node 30 s to start, which a machine at full load may need more than once.

    Raises:
        EndpointError: it did not start.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)  # it warns that its default is in force
    for attempt in range(1, _RAY_ATTEMPTS + 1):
        if _init_ray(num_cpus, object_store_bytes):
            return
        logger.warning("Ray did not start in its 30 s (%d of %d)", attempt, _RAY_ATTEMPTS)
        ray.shutdown()
    raise EndpointError("Ray did not start on this machine; it may be overloaded, try again or with --address local")


def _init_ray(num_cpus: int | None, object_store_bytes: int) -> bool:
    """Start a local Ray; tell whether it started in time."""
    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            object_store_memory=object_store_bytes,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except Exception as error:
        # Ray raises the bare class here, so only its words tell this failure from others.
        if "timed out during startup" not in str(error):
            raise
        return False
    return True
