"""What training and calibration take from quality assurance: the confidence below which people look first."""

import numpy as np
from numpy.typing import NDArray

from qa.saving import saving


class Abstain:
    """Chooses the least confidence from which on texts are proven to be right often enough."""

    def __init__(self, demanded: float, confidence: float = 0.95) -> None:
        """Prove `demanded`, a share of right texts, with `confidence`."""
        self._demanded, self._confidence = demanded, confidence

    def __call__(self, confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float | None:
        """Return that confidence, or None where none is proven."""
        return saving(confidences, right, demanded=self._demanded, confidence=self._confidence).threshold
