"""What is paid: prices, damages for lateness and deductions, all as decimal texts, so that no float touches money."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from contract.guideline import Strict
from contract.tables import Kind

_MOST_DIGITS = 12
_MOST_PLACES = 6


def _decimal_text(text: str) -> str:
    """Return `text` if it writes a number of money or a share plainly."""
    whole, _, places = text.partition(".")
    if not (text.isascii() and whole.isdigit() and (places.isdigit() or text == whole)):
        raise ValueError(f'{text!r} is not a plain number such as "1.80"')
    if len(whole) > _MOST_DIGITS or len(places) > _MOST_PLACES:
        raise ValueError(f"{text!r} has more than {_MOST_DIGITS} digits or {_MOST_PLACES} decimal places")
    return text


def _share_text(text: str) -> str:
    if Decimal(_decimal_text(text)) > 1:
        raise ValueError(f'{text!r} is more than 1; write 10 % as "0.10"')
    return text


Money = Annotated[str, AfterValidator(_decimal_text)]
ShareText = Annotated[str, AfterValidator(_share_text)]


class UnitPrice(Strict):
    """Price of one unit of each kind: an image, a text, an hour of video; null where a kind is not ordered."""

    image: Money | None = None
    text: Money | None = None
    video_hour: Money | None = None

    def of(self, kind: Kind) -> Decimal | None:
        """Return the price of a unit of `kind`."""
        text = {Kind.IMAGE: self.image, Kind.TEXT: self.text, Kind.VIDEO: self.video_hour}[kind]
        return None if text is None else Decimal(text)


class Deduction(Strict):
    """A step of the deduction table: where a criterion's estimate is below `below`, `share` of its kind's price goes."""

    criterion: Annotated[str, Field(pattern=r"^(image|text|video)\.[a-z0-9_]+$")]
    below: ShareText
    share: ShareText

    @property
    def kind(self) -> Kind:
        """The kind whose price is cut."""
        return Kind(self.criterion.partition(".")[0])


class Settlement(Strict):
    """What is owed for accepted lots.

    Late damages are `late_per_day` of a late lot's price for each calendar day, together at most `late_cap` of the price of
    all that the contract orders. Of several deductions for one criterion the largest that applies counts.
    """

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    unit_price: UnitPrice
    basis: Literal["accepted_items"]
    late_per_day: ShareText
    late_cap: ShareText
    deductions: tuple[Deduction, ...] = ()

    @model_validator(mode="after")
    def _something_is_paid(self) -> "Settlement":
        if all(self.unit_price.of(kind) is None for kind in Kind):
            raise ValueError("unit_price names no price; give image, text or video_hour")
        return self
