"""One failing item never fails its neighbours: a chunk that raises is halved down to the guilty item."""

import logging
from collections.abc import Sequence

import pyarrow as pa

from contract.answers import build_answer, check_answer, rejected
from contract.errors import GoldgateError, PredictorError
from contract.predictor import Predictor, Source
from contract.tables import Kind

_log = logging.getLogger(__name__)


def predict_isolated(predictor: Predictor, kind: Kind, sources: Sequence[Source]) -> pa.Table:
    """Return the answer for `sources`; items on which the predictor raises become rejected rows.

    Errors that goldgate raises on purpose (a server that is gone, weights that changed) concern the whole
    job and pass through.

    Raises:
        PredictorError: every one of several items failed, which is the model's fault and not the items'.
        GoldgateError: as raised by the predictor.
    """
    answer, failures = _predict(predictor, kind, sources)
    if len(failures) == len(sources) > 1:
        raise PredictorError(
            f"{predictor.describe().source} failed on all {len(sources)} items of a chunk, first on "
            f"{sources[0].item!r}: {failures[0]}"
        ) from failures[0]
    return answer


def _predict(predictor: Predictor, kind: Kind, sources: Sequence[Source]) -> tuple[pa.Table, list[Exception]]:
    try:
        return check_answer(kind, sources, predictor.predict(sources)), []
    except GoldgateError:
        raise
    except Exception as error:  # noqa: BLE001 - the job's outermost loop: a model may raise anything on a hostile item
        if len(sources) == 1:
            _log.warning("item %r was rejected: the predictor raised %r", sources[0].item, error)
            reason = f"the predictor failed: {type(error).__name__}: {error}"
            return build_answer(kind, [rejected(sources[0].item, kind, reason)]), [error]
    middle = len(sources) // 2
    left, left_failures = _predict(predictor, kind, sources[:middle])
    right, right_failures = _predict(predictor, kind, sources[middle:])
    return pa.concat_tables([left, right]), left_failures + right_failures
