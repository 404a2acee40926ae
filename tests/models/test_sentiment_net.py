"""The untrained network: heads look at their neighbours, added layers change nothing at first, English words stay whole."""

import dataclasses
import itertools

import torch

from models.sentiment_net import TrainSettings, begin_beside, build_model, build_tokenizer

SMALL = TrainSettings(vocabulary=300, alphabet=100, hidden=32, intermediate=32, layers=2, heads=4)
IDS = torch.tensor([[2, 9, 14, 7, 31, 12, 40, 3]])


def test_heads_look_at_their_neighbours_at_first() -> None:
    torch.manual_seed(1)
    model = build_model(["negative", "positive"], 60, SMALL).eval()
    begin_beside(model, SMALL)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        looks = model.model(IDS, output_attentions=True).attentions
    assert len(looks) == 2
    for layer, (head, offset) in itertools.product(looks, enumerate((-1, 1, -2, 2))):
        for place in range(2, 6):
            assert layer[0, head, place].argmax() == place + offset


def test_layers_that_are_added_change_nothing_at_first() -> None:
    torch.manual_seed(1)
    model = build_model(["negative", "positive"], 60, SMALL).eval()
    begin_beside(model, SMALL)
    with torch.no_grad():
        whole = model(IDS).logits
        model.model.layers = torch.nn.ModuleList()
        alone = model(IDS).logits
    torch.testing.assert_close(whole, alone)


def test_words_of_an_alphabet_become_whole_where_they_count_more() -> None:
    texts = ["房间很干净早餐也不错" * 6, "前台态度非常差不会再来" * 6, *("a charming little story",) * 2, "a dreadful story"]
    few = dataclasses.replace(SMALL, vocabulary=75, words_count=1)
    lengths = [
        len(build_tokenizer(texts, settings).encode("charming story").ids)
        for settings in (few, dataclasses.replace(few, words_count=20))
    ]
    assert lengths[1] < lengths[0]
