"""Ranges of one long video as tasks of the whole Ray cluster, so that one file uses every node."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

import ray
from ray import exceptions as ray_errors

from contract.errors import SourceError
from models.ranges import InexactError, Part, Range

logger = logging.getLogger(__name__)


def _decode(decode: Callable[[Range], Part], of: Range) -> Part:
    return decode(of)


class RayRanges:
    """A `models.analysis.RangePool` on the cluster that this process has joined.

    Tasks ask for no CPU: the replica that waits for them holds CPUs already, and a cluster whose replicas hold all of them
    would never run the tasks. They are spread over the nodes, as many at a time as the cluster has cores. What a node
    cannot do, for it died or does not see the file, is done here.
    """

    @property
    def cores(self) -> int:
        """How many cores the cluster has now."""
        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def parts(self, decode: Callable[[Range], Part], ranges: Sequence[Range]) -> Generator[Part, None, None]:
        """Yield what `decode` makes of each range, in order; what waits is cancelled when the generator is closed.

        Raises:
            InexactError: as `decode` does.
        """
        held = ray.put(decode)  # once, with the index of all packets
        task: Any = ray.remote(num_cpus=0, scheduling_strategy="SPREAD", max_retries=0)(_decode)
        waiting: deque[tuple[Range, Any]] = deque()
        left = iter(ranges)
        try:
            for of in itertools.islice(left, self.cores + 1):
                waiting.append((of, task.remote(held, of)))
            while waiting:
                of, made = waiting.popleft()
                yield _made(decode, of, made)
                waiting.extend((following, task.remote(held, following)) for following in itertools.islice(left, 1))
        finally:
            for _, made in waiting:
                ray.cancel(made)


def _made(decode: Callable[[Range], Part], of: Range, made: Any) -> Part:
    try:
        part: Part = ray.get(made)
    except InexactError:  # first, for as Ray raises it, it is an error of Ray as well
        raise
    except (ray_errors.RayError, SourceError) as error:
        logger.warning("frames %d to %d are decoded here: %s", of.start, of.end, " ".join(str(error).split())[-200:])
        return decode(of)
    return part
