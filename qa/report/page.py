"""The acceptance report: one HTML file in Chinese and English that both parties can read, print and sign.

The page has no scripts and no outside links; the same input gives the same bytes.
"""

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jinja2
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup, escape

from contract.labelset import LabelSet
from contract.quality import Quality
from contract.scores import BoxScore, EventScore, KeyframeScore, Score, SentimentScore, ShotScore
from contract.tables import Kind, State, Task
from contract.terms import Terms
from contract.verdict import Verdict
from qa.report import evidence, figures, plots
from qa.words import wording
from qa.words.rulewords import rule_words
from qa.words.wording import Words
from qa.words.wording_delivery import DELIVERY_WORDS
from qa.words.wording_quality import QUALITY_WORDS
from qa.words.wording_shots import SHOT_WORDS

_REJECT_EXAMPLES: Final = 3
_MOST_CLASS_ROWS: Final = 100
_SAYINGS: Final = {**DELIVERY_WORDS, **QUALITY_WORDS, **SHOT_WORDS, **wording.WORDS}
_TASK_WORDS: Final = {
    Task.BOXES.value: wording.WORDS["boxes"],
    Task.SENTIMENTS.value: wording.WORDS["sentiment"],
    **wording.TIMELINES,
}


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    """Everything that the report says; what is absent leaves its section out.

    Attributes:
        created: when the report is made; with a time zone.
        software: name -> version of what computed the figures.
        scores: one score a task, with their evidence tables.
        labels: the submission, as it was scored.
        gold: the gold, as it was scored against.
        terms: the contract; None for a score without a contract.
        verdict: None for a score without a contract.
        reading: the terms in words, in both languages; lines are kept.
        manifest: the lot's items (columns of `tables.ITEMS`).
        rejects: what intake refused (columns of `tables.REJECTS`).
        images: item -> path of its image; where it is empty, the manifest's uris are used.
        texts: item -> its text.
        notice: a remark above everything, for example that the vendor is simulated.
        sources: name -> digest of the files that were scored, where there is no verdict to pin them.
        files: name -> digest of the files beside the report.
        quality: consistency, completeness and bias of pre-labels.
    """

    created: datetime.datetime
    software: Mapping[str, str]
    scores: Mapping[Task, Score]
    labels: LabelSet
    gold: LabelSet
    terms: Terms | None = None
    verdict: Verdict | None = None
    reading: Words | None = None
    manifest: pa.Table | None = None
    rejects: pa.Table | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    notice: Words | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    quality: Quality | None = None


def render(report: ReportInput) -> str:
    """Return the report as one HTML document.

    An image that is absent or broken is named on the page and fails nothing; an undefined figure is a dash with its reason.
    """
    boxes = report.scores.get(Task.BOXES)
    sentiment = report.scores.get(Task.SENTIMENTS)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            terms=report.terms,
            verdict=report.verdict,
            volumes=volumes(report),
            rejects=_rejects(report.rejects),
            boxes=_boxes(report, boxes) if isinstance(boxes, BoxScore) else None,
            sentiment=_sentiment(report, sentiment) if isinstance(sentiment, SentimentScore) else None,
            video=_video(report),
            footer=_footer(report),
            quality=report.quality or Quality(),
        )
    )


def environment() -> jinja2.Environment:
    """Return what the templates of a report or a delivery may use."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qa.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        t=_translate,
        say=_say,
        criterion_words=wording.criterion_words,
        rule_words=rule_words,
        wording=wording,
        sayings=_SAYINGS,
        task_words=_TASK_WORDS,
        bullet=figures.bullet,
        most_class_rows=_MOST_CLASS_ROWS,
    )
    environment.filters.update(share=figures.share, plain=figures.plain, picture=_picture_uri, value=_value)
    environment.filters["css_string"] = _css_string
    return environment


def _footer(report: ReportInput) -> str:
    """Return what stands under every printed page: what was judged, and the digest of the figures."""
    pins = report.verdict.pins if report.verdict else None
    judged = f"{pins.contract} / {pins.lot} / {pins.submission}" if pins else wording.WORDS["score_title"].zh
    digest = report.files.get("score.json")
    return f"{judged} · score.json {digest[:16]}" if digest else judged


def _css_string(text: str) -> Markup:
    """Return `text` as a string of CSS: everything but letters and digits is escaped, so that no name can break out."""
    escaped = "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in text)
    return Markup('"{}"').format(escaped)


def _say(words: Words) -> Markup:
    """Return both languages, each marked as what it is; what reads the same in both is said once."""
    if words.zh == words.en:
        return escape(words.zh)
    return Markup('<span lang="zh">{}</span> <span lang="en">{}</span>').format(words.zh, words.en)


def _translate(key: str, **values: object) -> Markup:
    return _say(_SAYINGS[key].format(**values))


def _value(document: Any, name: str) -> Markup:
    """Return the share `name` of a score, or a dash with the reason that the score gives for its being undefined."""
    value = getattr(document, name)
    if value is not None:
        return escape(figures.share(value))
    reason = getattr(document, "reasons", {}).get(name)
    why = escape(reason) if reason else _translate("undefined")
    return Markup('<span class="none">{}<small> {}</small></span>').format(figures.DASH, why)


def _picture_uri(jpeg: bytes) -> str:
    return plots.data_uri(jpeg, "image/jpeg")


@dataclass(frozen=True)
class Volume:
    """One kind of item: what was ordered, came in, and was done."""

    kind: Words
    contracted: str
    received: str
    states: Counter[str]
    missing: int
    with_gold: int


def volumes(report: ReportInput) -> list[Volume]:
    """Return the volumes of each kind that was ordered or came in."""
    done, golden = evidence.kinds_of(report.labels.states), evidence.kinds_of(report.gold.states)
    lot = evidence.kinds_of(report.manifest) if report.manifest is not None else done
    rows = []
    for kind in Kind:
        received = lot[kind].total()
        if not received and not _ordered(report.terms, kind):
            continue
        states = done[kind]
        finished = sum(states[state.value] for state in (State.LABELLED, State.EMPTY, State.EXCUSED))
        with_gold = sum(golden[kind][state.value] for state in (State.LABELLED, State.EMPTY))
        rows.append(
            Volume(
                kind=wording.KINDS[kind.value],
                contracted=_contracted(report.terms, kind),
                received=f"{received:,}{_hours(report.manifest) if kind is Kind.VIDEO else ''}",
                states=states,
                missing=max(received - finished, 0),
                with_gold=with_gold,
            )
        )
    return rows


def _ordered(terms: Terms | None, kind: Kind) -> float:
    if terms is None:
        return 0
    volumes = terms.volumes
    return {Kind.IMAGE: volumes.images, Kind.TEXT: volumes.texts, Kind.VIDEO: volumes.video_hours}[kind]


def _contracted(terms: Terms | None, kind: Kind) -> str:
    if terms is None:
        return figures.DASH
    return figures.plain(_ordered(terms, kind)) + (" h" if kind is Kind.VIDEO else "")


def _hours(manifest: pa.Table | None) -> str:
    if manifest is None:
        return ""
    seconds = pc.sum(manifest["duration_s"]).as_py() or 0.0
    return f" ({figures.plain(seconds / 3600)} h)"


def _rejects(table: pa.Table | None) -> list[tuple[Words, int, list[str]]] | None:
    """Return reason, count and a few names of what intake refused; None where no lot is known."""
    if table is None:
        return None
    rows = []
    for reason, count in sorted(Counter(table["reason"].to_pylist()).items()):
        names = table.filter(pc.equal(table["reason"], reason))["uri"].slice(0, _REJECT_EXAMPLES).to_pylist()
        rows.append((wording.REASONS.get(reason, Words(reason, reason)), count, names))
    return rows


def _boxes(report: ReportInput, score: BoxScore) -> dict[str, Any]:
    images = report.images
    if not images and report.manifest is not None:
        manifest = report.manifest.filter(pc.equal(report.manifest["kind"], Kind.IMAGE.value))
        images = dict(zip(manifest["item"].to_pylist(), manifest["uri"].to_pylist(), strict=True))
    cases = evidence.worst_defects(
        score, gold=report.gold.table(Task.BOXES), labels=report.labels.table(Task.BOXES), images=images
    )
    curves = score.coco_curves
    return {
        "score": score,
        "histogram": plots.data_uri(
            plots.iou_histogram(
                score.iou_histogram, evidence.loose_histogram(score), threshold=score.reading.get("iou", 0.5)
            )
        ),
        "curves": None
        if curves is None
        else plots.data_uri(
            plots.precision_recall(
                curves.recall,
                {
                    "IoU .50": curves.precision_iou_50,
                    "IoU .75": curves.precision_iou_75,
                    "IoU .50:.95": curves.precision_iou_50_95,
                },
            )
        ),
        "matrix": evidence.box_confusion(score),
        "cases": cases,
        "has_images": bool(images),
    }


def _sentiment(report: ReportInput, score: SentimentScore) -> dict[str, Any]:
    total, texts = evidence.wrong_texts(score, labels=report.labels.table(Task.SENTIMENTS), texts=report.texts)
    return {"score": score, "matrix": evidence.text_confusion(score), "wrong": total, "texts": texts}


def _video(report: ReportInput) -> dict[str, Any] | None:
    scores = [
        score
        for task in (Task.SHOTS, Task.KEYFRAMES, Task.EVENTS)
        if isinstance(score := report.scores.get(task), ShotScore | KeyframeScore | EventScore)
    ]
    if not scores:
        return None
    durations: dict[str, float] = {}
    if report.manifest is not None:
        pairs = zip(report.manifest["item"].to_pylist(), report.manifest["duration_s"].to_pylist(), strict=True)
        durations = {item: seconds for item, seconds in pairs if seconds}
    total, cases = evidence.worst_videos(scores, gold=report.gold, labels=report.labels, durations=durations)
    kinds = {score.task: evidence.kind_confusion(score.kinds) for score in scores if isinstance(score, ShotScore)}
    return {
        "scores": scores,
        "kinds": kinds,
        "total": total,
        "cases": [(case, plots.data_uri(plots.timeline(case.timeline))) for case in cases],
    }
