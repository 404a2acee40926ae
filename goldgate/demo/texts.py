"""Reviews written for the demo, in Chinese and English, with the label that their author meant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

POSITIVE: Final = "positive"
NEGATIVE: Final = "negative"


@dataclass(frozen=True)
class Review:
    """A text and its true sentiment."""

    text: str
    label: str


_ZH: Final = (
    (
        POSITIVE,
        (
            "房间很干净，床也很舒服",
            "送餐特别快，饭菜还是热的",
            "包装很仔细，质量超出预期",
            "前台服务热情，办理入住很快",
            "味道很好，分量也足",
            "做工精细，穿着很合身",
            "位置方便，出门就是地铁站",
            "屏幕清晰，运行流畅",
        ),
        ("，非常满意。", "，下次还会再来！", "，值得推荐给朋友。", "，物有所值，好评。", "，全家人都很喜欢。"),
    ),
    (
        NEGATIVE,
        (
            "房间又旧又脏，隔音很差",
            "等了两个小时，饭菜全凉了",
            "刚用两天就坏了，质量太差",
            "前台态度恶劣，押金迟迟不退",
            "味道难吃，还吃出了头发",
            "面料粗糙，洗一次就掉色",
            "空调不制冷，热水也没有",
            "客服不理人，退货非常麻烦",
        ),
        ("，非常失望。", "，再也不会来了！", "，不推荐大家购买。", "，完全不值这个价钱，差评。", "，真是浪费钱。"),
    ),
)
_EN: Final = (
    (
        POSITIVE,
        (
            "a warm and funny film",
            "the acting is superb and the story is moving",
            "a beautiful, touching piece of cinema",
            "smart, fresh and thoroughly entertaining",
            "one of the best movies of the year",
            "a delightful comedy with real heart",
        ),
        (", and i loved every minute .", ", a real pleasure to watch .", " , rich in humor and charm ."),
    ),
    (
        NEGATIVE,
        (
            "a dull and lifeless mess",
            "the plot is stupid and the acting is terrible",
            "a boring, predictable waste of time",
            "clumsy, shallow and painfully unfunny",
            "one of the worst movies of the year",
            "a tedious thriller without any suspense",
        ),
        (", and i hated every minute .", ", too long and too bad to sit through .", " , with no wit and no point ."),
    ),
)


def reviews() -> list[Review]:
    """Return the demo's reviews, each once, the labels interleaved, always in the same order."""
    written = [list(_combine(group)) for group in (_ZH, _EN)]
    return [review for language in written for review in language]


def _combine(groups: Sequence[tuple[str, tuple[str, ...], tuple[str, ...]]]) -> Iterator[Review]:
    columns = [[Review(first + last, label) for first, last in product(firsts, lasts)] for label, firsts, lasts in groups]
    for row in zip(*columns, strict=True):
        yield from row
