"""Batches of texts: nothing lost, budget kept, hardly any padding, and arrays as a slow loop makes them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from models.textbatches import PIECE_TEXTS, Encoder, Padding, Window, arrays, batched, pieces, through, tokenised
from models.textfolder import read_tokenizer
from tests.oracles.tinytexts import VOCABULARY, save_tokenizer

LENGTHS = st.lists(st.lists(st.integers(1, 60), max_size=30), max_size=4)


def window(text: int, length: int) -> Window:
    return Window(text, 0, [text % 50 + 1] * length, None, length)


def runs_of(lengths: list[list[int]]) -> list[list[Window]]:
    numbers = iter(range(10_000))
    return [[window(next(numbers), length) for length in run] for run in lengths]


@hypothesis.given(LENGTHS, st.integers(8, 400), st.integers(1, 4))
def test_every_window_is_in_one_batch_within_the_budget(lengths: list[list[int]], budget: int, workers: int) -> None:
    runs = runs_of(lengths)
    batches = list(batched(runs, budget=budget, workers=workers))
    assert sorted(w.text for batch in batches for w in batch) == sorted(w.text for run in runs for w in run)
    for batch in batches:
        sizes = [len(w.tokens) for w in batch]
        assert sizes == sorted(sizes, reverse=True)
        assert len(batch) == 1 or len(batch) * sizes[0] <= budget


@pytest.mark.parametrize(("texts", "workers"), [(1024, 1), (1024, 4), (5000, 2)])
def test_padding_is_below_a_twentieth_on_lengths_as_reviews_have_them(texts: int, workers: int) -> None:
    draws = np.random.default_rng(5)
    lengths = np.clip(draws.lognormal(3.3, 0.8, texts).astype(int), 3, 256)
    order = np.argsort(-lengths, kind="stable")
    runs = [[window(int(i), int(lengths[i])) for i in order[at : at + 1024]] for at in range(0, texts, 1024)]
    padding = Padding()
    assert padding.ratio is None
    for batch in batched(runs, budget=2048, workers=workers):
        padding.add(batch)
    assert padding.real == lengths.sum()
    assert padding.ratio is not None
    assert 1 <= padding.ratio <= 1.05


def test_one_long_window_among_short_ones_costs_what_its_tokens_cost() -> None:
    padding = Padding()
    for batch in batched([[window(0, 400), *(window(i, 4) for i in range(1, 64))]], budget=2048, workers=1):
        padding.add(batch)
    assert padding.padded - padding.real <= 64


def test_a_small_call_is_spread_over_the_workers() -> None:
    run = [window(index, 16) for index in range(64)]
    assert [len(batch) for batch in batched([run], budget=2048, workers=2)] == [32, 32]
    assert [len(batch) for batch in batched([run], budget=2048, workers=1)] == [64]


@hypothesis.given(st.lists(st.integers(1, 12), min_size=1, max_size=9), st.booleans())
def test_arrays_agree_with_a_loop(lengths: list[int], typed: bool) -> None:
    windows = [
        Window(row, 0, list(range(5, 5 + length)), [column % 2 for column in range(length)] if typed else None, length)
        for row, length in enumerate(lengths)
    ]
    batch = arrays(windows, 3)
    for row, made in enumerate(windows):
        for column in range(max(lengths)):
            there = column < len(made.tokens)
            assert batch.ids[row, column] == (made.tokens[column] if there else 3)
            assert batch.mask[row, column] == there
            if batch.types is not None:
                assert batch.types[row, column] == (column % 2 if there else 0)
    assert (batch.types is not None) == typed


@hypothesis.given(st.lists(st.text(max_size=20), max_size=50))
def test_pieces_hold_every_place_once_longest_first(texts: list[str]) -> None:
    runs = pieces(texts)
    places = [place for run in runs for place in run]
    assert sorted(places) == list(range(len(texts)))
    sizes = [len(texts[place]) for place in places]
    assert sizes == sorted(sizes, reverse=True)


def test_pieces_are_bounded() -> None:
    assert [len(run) for run in pieces(["a"] * (2 * PIECE_TEXTS + 1))] == [PIECE_TEXTS, PIECE_TEXTS, 1]
    assert [len(run) for run in pieces(["a" * 700_000, "b" * 700_000, "c"])] == [2, 1]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    return Encoder(read_tokenizer(folder), window=10, stride=3)


def test_windows_overlap_by_the_stride_and_know_their_weight(encoder: Encoder) -> None:
    found = encoder.windows(["good " * 12, "", "bad"], [7, 8, 9])
    assert [(made.text, len(made.tokens), made.weight) for made in found] == [(7, 10, 8), (7, 9, 7), (9, 3, 1)]
    assert found[-1].tokens == [2, VOCABULARY["bad"], 3]


def test_pieces_are_tokenised_ahead_by_another_thread(encoder: Encoder) -> None:
    texts = ["good bad"] * (2 * PIECE_TEXTS) + ["room"]
    with ThreadPoolExecutor(1) as ahead:
        runs = list(tokenised(encoder, texts, ahead))
    assert [len(run) for run in runs] == [PIECE_TEXTS, PIECE_TEXTS, 1]
    with ThreadPoolExecutor(1) as ahead:
        assert list(tokenised(encoder, [], ahead)) == []


def test_a_window_without_room_for_its_stride_is_refused(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(ValueError, match="stride of 8"):
        Encoder(read_tokenizer(tmp_path), window=10, stride=8)
    with pytest.raises(ValueError, match="stride of 4"):
        Encoder(read_tokenizer(tmp_path), window=10, stride=4, hypotheses=["good room food"])


def test_batches_go_through_the_workers_in_order_and_bounded() -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def work(windows: list[Window]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        result = np.array([[float(windows[0].text)]])
        with lock:
            under_way -= 1
        return result

    made = [[window(index, 1)] for index in range(20)]
    with ThreadPoolExecutor(2) as workers:
        found = [(batch[0].text, float(values[0, 0])) for batch, values in through(made, work, workers=workers, at_once=2)]
    assert found == [(index, float(index)) for index in range(20)]
    assert most <= 2


def test_a_failure_of_a_worker_reaches_the_caller() -> None:
    def work(windows: list[Window]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        raise ArithmeticError(str(windows[0].text))

    with ThreadPoolExecutor(1) as workers, pytest.raises(ArithmeticError, match="0"):
        list(through([[window(index, 1)] for index in range(5)], work, workers=workers, at_once=1))
