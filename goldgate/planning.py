"""`goldgate plan`: what it costs to tell good work from work at the threshold, before terms are written."""

from contract.errors import InputError
from goldgate.console import EXIT_DONE, emit_json, emit_text
from qa.sampling.planner import Aim, as_document, options
from qa.words.planwords import options_in_words


def plan_samples(threshold: float, good: float, *, confidence: float, vendor: float, lot: int | None, as_json: bool) -> int:
    """Print the procedures side by side, in Chinese and English.

    Raises:
        InputError: the shares cannot be told apart.
    """
    try:
        found = options(Aim(threshold, good, confidence, vendor, lot))
    except ValueError as error:
        raise InputError(f"plan: {error}") from error
    if as_json:
        emit_json(as_document(found))
    else:
        words = options_in_words(found)
        emit_text(f"{words.zh}\n\n{words.en}")
    return EXIT_DONE
