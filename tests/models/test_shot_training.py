"""The shot network's material and training: streams whose truth holds, drawn by seed; a network that learns from them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import InputError
from models.disturbances import GRIDS, banner, defocus, exposure, fault, flash, passer
from models.features import CHROMA, CHROMA_SIZE, LUMA, LUMA_SIZE
from models.gradual import Transition
from models.scenes import render_scene
from models.shotfinders import open_learned
from models.shotnet import CLASSES, ShotNet
from models.splices import Splice, make_splice
from models.takes import SHORTEST, Camera, Take, blank, film, read_material
from models.train_shots import WEIGHTS, TrainSettings, reversed_splice, target_of, train_shots

Studio = Any  # the class is in conftest.py, which no test can import


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, studio: Studio) -> Path:
    """A folder with two videos, one of two shots, pictures, and files that are neither."""
    place = tmp_path_factory.mktemp("material")
    (place / "deep").mkdir()
    (place / "two.mkv").write_bytes(studio.encode([*studio.take(1, 60), *studio.take(2, 70)]))
    (place / "deep" / "one.mkv").write_bytes(studio.encode(studio.take(3, 50)))
    for seed in range(8):
        cv2.imwrite(str(place / "deep" / f"{seed}.png"), render_scene(seed, width=256, height=160)[0][..., ::-1])
    (place / "broken.mp4").write_bytes(b"no video")
    (place / "notes.txt").write_text("no material")
    return place


@pytest.fixture(scope="module")
def takes(folder: Path) -> list[Take]:
    return read_material([folder], scenes=2)


def test_videos_are_parted_at_their_changes_and_pictures_kept_in_sizes(folder: Path, takes: list[Take]) -> None:
    told: list[str] = []
    again = read_material([folder], scenes=2, tell=told.append)
    assert [take.name for take in again] == [take.name for take in takes]
    assert told == [line for line in told if line.startswith("broken.mp4 is left out")] != []
    videos = [take for take in takes if take.frames > 1]
    assert len(videos) == 3
    assert all(SHORTEST <= take.frames <= 70 for take in videos)
    assert sum(take.frames == 1 for take in takes) == 8 + 2
    for take in takes:
        assert len(take.luma) == len(take.chroma) == (3 if take.frames == 1 else 1)


def test_a_camera_on_the_whole_picture_sees_its_thumbnail(takes: list[Take]) -> None:
    take = next(take for take in takes if take.frames == 1)
    whole = np.array([0.5])
    seen = film(take, np.array([0.0]), Camera(whole, whole, np.array([1.0]), np.array([0.0])))
    wanted = cv2.resize(take.luma[-1][0], LUMA, interpolation=cv2.INTER_AREA).astype(np.float32)
    assert np.abs(seen.luma[0] - wanted).mean() < 3
    left = film(take, np.array([0.0]), Camera(np.array([0.25]), whole, np.array([0.5]), np.array([0.0])))
    part = take.luma[0][0][take.luma[0].shape[1] // 4 : -take.luma[0].shape[1] // 4, : take.luma[0].shape[2] // 2]
    assert np.abs(left.luma[0] - cv2.resize(part, LUMA, interpolation=cv2.INTER_AREA)).mean() < 6


def test_folders_that_are_absent_or_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_material([tmp_path / "absent"])
    with pytest.raises(InputError, match="fewer than two takes"):
        read_material([tmp_path])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_streams_are_drawn_by_seed_and_their_changes_stand_apart(takes: list[Take], seed: int) -> None:
    splice = make_splice(takes, 160, seed=seed)
    again = make_splice(takes, 160, seed=seed)
    assert np.array_equal(splice.luma, again.luma)
    assert np.array_equal(splice.chroma, again.chroma)
    assert splice.transitions == again.transitions
    assert splice.luma.shape == (160, LUMA_SIZE)
    assert splice.chroma.shape == (160, 2 * CHROMA_SIZE)
    end = -1
    for change in splice.transitions:
        assert change.kind in CLASSES[1:]
        assert end <= change.start <= change.end
        assert (change.kind == "cut") == (change.start == change.end)
        end = change.end


def test_what_is_called_a_cut_is_seen_as_one(takes: list[Take]) -> None:
    steps = []
    for seed in range(40):
        splice = make_splice(takes, 160, seed=seed)
        for change in splice.transitions:
            if change.kind == "cut" and 0 < change.start < 160:
                both = splice.luma[change.start - 1 : change.start + 1].astype(np.float32)
                steps.append(float(np.abs(both[1] - both[0]).mean()))
    assert len(steps) > 30
    assert np.median(steps) > 15


@pytest.mark.parametrize("what", [flash, exposure, fault, defocus])
def test_disturbances_stay_within_the_picture_and_change_something(what: Any) -> None:
    changed = 0
    for seed in range(12):
        strip = blank(40, 100.0)
        strip.luma += 40 * GRIDS[0][0]
        before = strip.luma.copy()
        what(strip, np.random.default_rng(seed))
        assert strip.luma.shape == before.shape
        assert -1 <= strip.luma.min() <= strip.luma.max() <= 256
        changed += bool((strip.luma != before).any())
    assert changed >= 6


@pytest.mark.parametrize("what", [banner, passer])
def test_what_passes_leaves_the_rest_as_it_was(what: Any) -> None:
    for seed in range(12):
        strip, texture = blank(40, 100.0), blank(1, 200.0)
        what(strip, np.random.default_rng(seed), texture)
        untouched = (strip.luma == 100).all(axis=(1, 2)).sum()
        assert (strip.luma == 100).any()
        assert 0 <= untouched <= 40


def splice_of(*changes: Transition, frames: int = 40) -> Splice:
    return Splice(np.zeros((frames, LUMA_SIZE), np.uint8), np.zeros((frames, 2 * CHROMA_SIZE), np.uint8), changes)


def test_targets_say_what_every_frame_is() -> None:
    target = target_of(splice_of(Transition("cut", 5, 5), Transition("wipe", 10, 14)))
    names = [CLASSES[kind] for kind in target.kinds.tolist()]
    assert [at for at, name in enumerate(names) if name == "cut"] == [5]
    assert [at for at, name in enumerate(names) if name == "wipe"] == [10, 11, 12, 13]
    assert target.borders[[9, 10, 11, 13, 14, 15]].tolist() == [[0.5, 0], [1, 0], [0.5, 0], [0, 0.5], [0, 1], [0, 0.5]]


def test_a_stream_run_backwards_has_its_changes_backwards() -> None:
    splice = splice_of(Transition("cut", 5, 5), Transition("fade", 10, 14))
    assert reversed_splice(splice).transitions == (Transition("fade", 26, 30), Transition("cut", 35, 35))
    assert reversed_splice(reversed_splice(splice)).transitions == splice.transitions
    assert CHROMA[0] * CHROMA[1] == CHROMA_SIZE


def test_training_learns_writes_a_card_and_is_repeatable(folder: Path, tmp_path: Path) -> None:
    few = TrainSettings(
        steps=30, batch=4, frames=128, fresh=1, lately=12, held_percent=40, held_streams=4, check=15, learning_rate=4e-3
    )
    lines: list[str] = []
    first = train_shots(tmp_path / "a", material=[folder], scenes=6, settings=few, run=(0, lines.append))
    train_shots(tmp_path / "b", material=[folder], scenes=6, settings=few, run=(0, lambda line: None))
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()
    assert [round(look["step"]) for look in first["curve"]] == [15, 30]
    torch.manual_seed(few.seed)
    untrained = ShotNet().state_dict()
    trained = open_learned(tmp_path / "a" / WEIGHTS)._network.state_dict()
    assert any(not torch.equal(untrained[name], trained[name]) for name in untrained)
    assert first["curve"][-1]["train"] < first["curve"][0]["train"]
    card = (tmp_path / "a" / "card.md").read_text(encoding="utf-8")
    assert "goldgate models train shots" in card
    assert sum(line.startswith("step") for line in lines) == 2
