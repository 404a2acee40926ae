"""One video by ranges on a Ray cluster: what this process alone finds, also where a node cannot see the file."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import ray

from contract.errors import SourceError
from contract.predictor import Predictor, Source
from contract.tables import Kind
from models.analysis import Reading, Spreading, analyse
from models.fake import FakePredictor
from models.openvideo import OpenVideo
from models.ranges import InexactError, PacketIndex, Part, Range, cut, decode_range, read_index
from models.video import VideoPredictor, VideoSettings
from serving.cluster import start_local_ray
from serving.deployment import ModelDeployment
from serving.ranges import RayRanges
from tests.oracles import longvideos

pytestmark = pytest.mark.e2e

FRAMES = 300


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    started = not ray.is_initialized()
    if started:
        start_local_ray(num_cpus=2)
    yield
    if started:
        ray.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("videos") / "long.mp4"
    path.write_bytes(longvideos.encode(longvideos.pictures(FRAMES), container="mp4", options={"g": "25", "bf": "3"}))
    return Source("long", Kind.VIDEO, str(path))


@dataclass(frozen=True)
class Work:
    """Decodes ranges, but in this process alone as it should."""

    source: Source
    index: PacketIndex
    here: int
    elsewhere: Callable[[], None]

    def decode(self, of: Range) -> Part:
        if os.getpid() != self.here:
            self.elsewhere()
        return decode_range(self.source, self.index, of)


def sees_nothing() -> None:
    raise SourceError("no such file")


def dies() -> None:
    os._exit(1)


def finds_another() -> None:
    raise InexactError("another video")


def ranges_of(source: Source, elsewhere: Callable[[], None]) -> tuple[Work, list[Range]]:
    with OpenVideo(source) as video:
        index = read_index(video)
    assert index is not None
    return Work(source, index, os.getpid(), elsewhere), cut(index, frames=40)


def test_a_video_by_ranges_on_the_cluster_is_the_one_decoded_here(cluster: None, source: Source, tmp_path: Path) -> None:
    whole = analyse(source, None, Reading())
    found = analyse(source, None, Reading(range_frames=40, elsewhere=RayRanges(), resume_folder=tmp_path))
    assert found.features.rows(slice(None)).equals(whole.features.rows(slice(None)))
    assert np.array_equal(found.timeline.edges, whole.timeline.edges)
    assert list(tmp_path.iterdir()) == []


def test_tasks_run_in_other_processes_and_in_order(cluster: None, source: Source) -> None:
    work, ranges = ranges_of(source, finds_another)
    assert len(ranges) >= 5
    with pytest.raises(InexactError, match="another video"):
        next(RayRanges().parts(work.decode, ranges))


@pytest.mark.parametrize("elsewhere", [sees_nothing, dies])
def test_what_a_node_cannot_do_is_done_here(cluster: None, source: Source, elsewhere: Callable[[], None]) -> None:
    work, ranges = ranges_of(source, elsewhere)
    (part,) = RayRanges().parts(work.decode, ranges[1:2])
    assert part.features.equals(work.decode(ranges[1]).features)


def test_a_replica_spreads_what_is_meant_to(cluster: None) -> None:
    def made(predictor: Predictor) -> Predictor:
        ModelDeployment(predictor.describe().kind, lambda: predictor, "cpu")
        return predictor

    spread, alone = (VideoPredictor(settings=VideoSettings(spread=spread, shots="rules")) for spread in (True, False))
    assert isinstance(made(spread)._elsewhere, RayRanges)  # type: ignore[attr-defined]
    assert made(alone)._elsewhere is None  # type: ignore[attr-defined]
    assert not isinstance(made(FakePredictor(Kind.TEXT)), Spreading)
