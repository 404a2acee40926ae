"""Labels that no model was trained for, by natural language inference (Yin, Hay and Roth 2019, arXiv:1909.00161).

Each label of the guideline becomes a hypothesis, made from its name and definition. The model says of every text (the
premise) how far it entails each hypothesis; a label's probability is the softmax of the entailment logits over the
labels. Of a text longer than the window the mean entailment logit of its windows counts, weighted by their tokens.
"""

from collections.abc import Sequence
from typing import Final

from contract.errors import TermsError, WeightsError
from contract.guideline import Guideline
from models.textlabels import Array, Calibration, softmax

HYPOTHESIS: Final = "{name}: {definition}"

_ENTAILMENT: Final = "entailment"
_OF_INFERENCE: Final = frozenset({_ENTAILMENT, "neutral", "contradiction", "not_entailment"})


def is_inference(model_labels: Sequence[str]) -> bool:
    """Return whether labels are those of natural language inference."""
    folded = [label.casefold() for label in model_labels]
    return _ENTAILMENT in folded and _OF_INFERENCE.issuperset(folded)


class EntailmentHead:
    """Labels by entailment; see the module."""

    def __init__(
        self,
        model_labels: Sequence[str],
        guideline: Guideline | None,
        calibration: Calibration,
        *,
        template: str = HYPOTHESIS,
        entailment: str | None = None,
        origin: str = "the model",
    ) -> None:
        """Make the hypotheses.

        Args:
            model_labels: names of the model's outputs, in order.
            guideline: names and defines the labels.
            calibration: its temperature divides the entailment logits.
            template: of a hypothesis; {name} and {definition} stand for those of a label.
            entailment: the output that means entailment; None is the one called so.
            origin: names the model in errors.

        Raises:
            TermsError: there are no labels to ask for.
            WeightsError: no output of the model means entailment.
        """
        if guideline is None or not guideline.sentiments:
            raise TermsError(f"{origin}: a model of inference has no labels of its own; list some in guideline.sentiments")
        wanted = (entailment or _ENTAILMENT).casefold()
        folded = [label.casefold() for label in model_labels]
        if wanted not in folded:
            raise WeightsError(
                f"{origin}: none of the model's labels {', '.join(model_labels)} is {wanted}; name the one that means "
                "entailment as settings.entailment in models.yaml, or choose another model"
            )
        self._entailment = folded.index(wanted)
        self._temperature = calibration.temperature
        self.labels = guideline.sentiment_names
        self.slots = len(self.labels)
        self.hypotheses = tuple(
            template.replace("{name}", label.name).replace("{definition}", label.definition)
            for label in guideline.sentiments
        )

    def of_windows(self, logits: Array) -> Array:
        """Return the entailment logit of each window, (windows, 1)."""
        return logits[:, [self._entailment]]

    def of_texts(self, means: Array) -> Array:
        """Return probabilities of the labels from mean entailment logits, both (texts, labels)."""
        return softmax(means / self._temperature)
