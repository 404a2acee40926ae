"""The terms' reading in words that both parties can sign."""

from typing import Literal

from contract.acceptance import ImageProfile, TextProfile, VideoProfile
from contract.reading_en import profile_in_english, reading_in_english
from contract.reading_zh import profile_in_chinese, reading_in_chinese
from contract.terms import Terms


def reading(terms: Terms, language: Literal["zh", "en"]) -> str:
    """Return what the contract orders and how it will be judged, as paragraphs of plain words.

    Every number that decides the verdict is in it, and the digests of the terms and the guideline at its end, so that
    two parties who hold the same text hold the same terms.
    """
    return reading_in_chinese(terms) if language == "zh" else reading_in_english(terms)


def profile_reading(profile: ImageProfile | TextProfile | VideoProfile, language: Literal["zh", "en"]) -> str:
    """Return how `profile` reads labels where there is no contract, as lines of plain words."""
    return profile_in_chinese(profile) if language == "zh" else profile_in_english(profile)
