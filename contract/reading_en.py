"""The reading of terms in English."""

from collections.abc import Iterator
from typing import Final

from contract.acceptance import ImageProfile, TextProfile, VideoProfile
from contract.inspection import AqlSampling
from contract.reading_clocks import clocks_in_english
from contract.reading_events import event_in_english
from contract.reading_settlement import settlement_in_english, strata_in_english
from contract.ruleterms import COUNTING_RULES, proof_method, tightened_confidence
from contract.terms import Terms

_METRICS: Final = {
    "f1": "F1 over boxes (2 TP / (2 TP + FP + FN), counted over all images together)",
    "precision": "precision over boxes (TP / (TP + FP))",
    "recall": "recall over boxes (TP / (TP + FN))",
    "class_recall_min": "the recall of every class (one too rare to be proven is remarked on, unless its estimate is under)",
    "accuracy": "accuracy (texts with the gold's label / all texts checked)",
    "macro_f1": "macro F1 (the mean of the F1 of every label)",
    "keyframe_f1": "F1 over keyframes",
    "event_f1": "F1 over events",
    "shot_f1": "F1 over starts of shots",
    "conforming": "the share of images without any defect",
    "keyframe_conforming": "the share of videos without any defect in their keyframes",
    "event_conforming": "the share of videos without any defect in their events",
    "shot_conforming": "the share of videos without any defect in their starts of shots",
}
_METHODS: Final = {
    "korn_graubard": "Korn-Graubard (effective sample size with t correction)",
    "cluster_bootstrap": "cluster bootstrap (whole clusters are drawn again)",
    "clopper_pearson": "Clopper-Pearson (exact)",
    "wilson": "Wilson score",
    "jeffreys": "Jeffreys",
    "dirichlet": "quantiles under a Dirichlet posterior (macro F1 is no share)",
}
_SHOT_MATCH: Final = {
    "start": "a gold start",
    "transition": "a gold change of shot (anywhere from its first changed frame to the first frame of the new shot)",
}

_TRAINING: Final = {
    "forbidden": "No model may be trained on the client's data or on results made from it (clause 5.2).",
    "allowed": "Models may be trained on the client's data and on results made from it for the purpose above (clause 5.2).",
}


def reading_in_english(terms: Terms) -> str:
    """Return the reading of `terms` as English paragraphs."""
    sections = (
        ("What is ordered", _order(terms)),
        ("Images", _image(terms, terms.acceptance.image)),
        ("Texts", _text(terms, terms.acceptance.text)),
        ("Videos", _video(terms, terms.acceptance.video)),
        ("Verdict", _verdict(terms)),
        ("Sample and gold", _sampling(terms)),
        ("Rework and silence", _rework(terms)),
        ("Payment", settlement_in_english(terms)),
        ("Clocks", clocks_in_english(terms)),
        ("Identity", _identity(terms)),
    )
    told = [(title, list(lines)) for title, lines in sections]
    blocks = ["\n".join([title, *(f"  - {line}" for line in lines)]) for title, lines in told if lines]
    return "\n\n".join([f"Reading of contract {terms.contract}: {terms.title}", *blocks]) + "\n"


def profile_in_english(profile: ImageProfile | TextProfile | VideoProfile) -> str:
    """Return how labels are read where there is no contract: nothing is demanded, so that no threshold stands in it."""
    if isinstance(profile, ImageProfile):
        lines, unit = list(_boxes_read(profile)), "image"
    elif isinstance(profile, VideoProfile):
        lines, unit = list(_videos_read(profile)), "video"
    else:
        lines, unit = (
            ["A text has exactly one label; it is right if it is the gold's. A text without one is an error."],
            "text",
        )
    bound = profile.bound
    lines.append(
        f"Limits are one-sided, each at {bound.confidence:.4g} confidence, {_METHODS[bound.method]}, with the {unit} as the "
        "unit of sampling."
    )
    lines.append("There is no contract: nothing is demanded, and these figures are no verdict.")
    return "\n".join(["How the labels were read (goldgate's default)", *(f"  - {line}" for line in lines)]) + "\n"


def _order(terms: Terms) -> Iterator[str]:
    volumes, deadline = terms.volumes, terms.deadline
    yield f"{terms.parties.client.name} (client) orders from {terms.parties.vendor.name} (vendor) for: {terms.purpose}."
    yield _TRAINING[terms.training]
    if terms.prelabel.pickles == "allowed":
        yield "Drafts may come from models whose weights are pickles, which are read without running what is in them."
    yield f"Volumes: {volumes.images:,} images, {volumes.texts:,} texts, {volumes.video_hours:g} hours of video."
    yield (
        f"Due by {deadline.due_date()}: {deadline.working_days} working days after {deadline.start}, whose own day does not "
        f"count (Monday to Friday, less {len(deadline.holidays)} holidays, plus "
        f"{len(deadline.makeup_workdays)} make-up days)."
    )
    yield f"Formats of delivery: {', '.join(terms.formats)}."
    limits = terms.limits
    yield (
        f"Refused at intake and not counted: images over {limits.max_image_pixels:,} pixels, files over "
        f"{limits.max_file_bytes:,} bytes, videos over {limits.max_video_seconds:g} s, texts over "
        f"{limits.max_text_characters:,} characters."
    )


def _image(terms: Terms, profile: ImageProfile | None) -> Iterator[str]:
    if profile is None:
        return
    yield f"Classes: {', '.join(terms.guideline.class_names)}."
    yield from _boxes_read(profile)
    yield from _demands(terms, profile)


def _boxes_read(profile: ImageProfile) -> Iterator[str]:
    classes = "of the same class" if profile.class_aware else "whatever their class"
    pairing = {
        "hungarian": "one to one, so that as many boxes as possible find a partner and then their total IoU is largest",
        "greedy_iou": "one to one, pairs of the largest IoU first",
    }[profile.matching]
    yield (
        f"A box is right if it is paired with a gold box {classes} at IoU >= {profile.iou:g} (a tie within 1e-9 counts as "
        f"reached). Boxes are paired {pairing}. An unpaired box delivered is an error, and so is an unpaired gold box."
    )
    yield {
        "ignore": "Crowd regions of the gold are left out, and so are boxes delivered that fall in them.",
        "count": "Crowd regions of the gold count as boxes.",
    }[profile.crowd]
    if profile.min_side_px > 0:
        yield f"Boxes with a side under {profile.min_side_px:g} px are left out on both sides."
    else:
        yield "No box is too small to count."


def _text(terms: Terms, profile: TextProfile | None) -> Iterator[str]:
    if profile is None:
        return
    yield f"Labels: {', '.join(terms.guideline.sentiment_names)}. A text has exactly one; it is right if it is the gold's."
    yield from _demands(terms, profile)
    yield (
        "The bound knows the size of the lot (hypergeometric): a lot that is checked whole has no uncertainty left."
        if profile.bound.finite_lot
        else "The bound takes the lot as a sample of all that this vendor delivers (binomial)."
    )


def _video(terms: Terms, profile: VideoProfile | None) -> Iterator[str]:
    if profile is None:
        return
    yield from _videos_read(profile)
    for event in terms.guideline.events:
        yield f"Event {event.name}: {event_in_english(event)}"
    yield from _demands(terms, profile)


def _videos_read(profile: VideoProfile) -> Iterator[str]:
    yield (
        f"A keyframe is right if it is paired one to one with a gold keyframe at most {profile.keyframe_tolerance_s:g} s "
        f"away; a start of a shot, at most {profile.shot_tolerance_frames} frames away from "
        f"{_SHOT_MATCH[profile.shot_match]}."
    )
    yield (
        f"An event is right if it is paired one to one with a gold event of the same name at temporal IoU >= "
        f"{profile.event_tiou:g} (a tie within 1e-9 counts as reached)."
    )


def _demands(terms: Terms, profile: ImageProfile | TextProfile | VideoProfile) -> Iterator[str]:
    bound = profile.bound
    cluster = "text" if isinstance(profile, TextProfile) else str(getattr(bound, "cluster", "item"))
    for metric, threshold in profile.metrics.demanded.items():
        method = _METHODS["dirichlet" if metric == "macro_f1" else proof_method("lower_bound", metric, bound.method)]
        if terms.acceptance.rule in COUNTING_RULES:
            yield f"Demanded: {_METRICS[metric]} of at least {threshold:g}, counted {cluster} by {cluster} (rule below)."
        elif terms.acceptance.rule == "lower_bound":
            yield (
                f"Demanded: {_METRICS[metric]} of at least {threshold:g}, proven by its one-sided lower bound at "
                f"{bound.confidence:.4g} confidence, {method}, with the {cluster} as the unit of sampling."
            )
        else:
            yield (
                f"Demanded: {_METRICS[metric]} of at least {threshold:g} as measured (point estimate); the bound by "
                f"{method} at {bound.confidence:.4g} confidence, by {cluster}, is reported and "
                "decides nothing."
            )
    if not isinstance(profile, TextProfile):
        yield f"Where every {cluster} of a lot is checked the numbers are exact, and the bounds are the numbers themselves."


def _verdict(terms: Terms) -> Iterator[str]:
    sampling = terms.acceptance.sampling
    few = f"fewer than {sampling.min_items} items of a kind (or of all that the lot holds) were checked"
    grow = f"the sample then grows by the next items of the draw, to at most {sampling.extend_to}"
    if terms.acceptance.rule == "aql":
        yield from _aql_verdict(sampling.aql)
    elif terms.acceptance.rule == "e_process":
        yield from _e_verdict(terms, few, grow)
    elif terms.acceptance.rule == "lower_bound":
        yield "ACCEPT: the lower bound of every demanded number reaches its threshold."
        yield "REJECT: the upper bound of a demanded number stays under its threshold."
        yield f"EXTEND: neither is proven, or {few}; {grow}."
    else:
        yield "ACCEPT: every demanded number, as measured, reaches its threshold."
        yield "REJECT: a demanded number, as measured, is under its threshold."
        yield f"EXTEND: {few}; {grow}."
    yield (
        "All demands must be met, each by itself, so that the client's risk is that of one demand; the vendor's chances to "
        "miss one add up."
    )
    yield "A number that cannot be computed is never a pass; an item without labels and without the word 'empty' is missing."
    yield "A lot with missing items is not accepted before they are there; only the client's gold can excuse an item."


def _aql_verdict(aql: AqlSampling | None) -> Iterator[str]:
    if aql is None:
        return
    yield (
        f"Rule AQL: the single sampling plan of GB/T 2828.1 (ISO 2859-1) for AQL {aql.limit:g} % nonconforming, inspection "
        f"level {aql.level}, {aql.severity} inspection and the number of items of a kind in the lot says how many are "
        "checked (n) and how many of them may fail to conform (Ac); min_items and extend_to decide nothing under this rule."
    )
    yield "ACCEPT: at most Ac of n items do not conform, for every demanded number."
    yield "REJECT: more than Ac items do not conform, as soon as that many are found."
    yield "EXTEND: fewer than n items were checked and at most Ac of them do not conform; the next items of the draw follow."
    yield "Where more than n were checked, the lot passes if n of them, drawn at random, would more likely than not pass."
    yield (
        "Every lot is judged by itself; `goldgate lot series` says when the standard's switching rules would have a series "
        "of lots move to tightened or reduced inspection, on which the parties then agree in new terms."
    )
    yield (
        "Such a plan seldom rejects work at the AQL and does not prove that the AQL is kept; `goldgate check` shows what it "
        "accepts."
    )


def _e_verdict(terms: Terms, few: str, grow: str) -> Iterator[str]:
    yield (
        "Rule e-process: evidence is a likelihood ratio, averaged over all shares on one side of the threshold against the "
        "threshold, drawing from the lot without replacement where its size counts; it decides once it reaches "
        "1 / (1 - confidence), and may be looked at after every item without raising either party's risk."
    )
    for kind, profile in terms.acceptance.profiles.items():
        risk = 1 - profile.bound.confidence
        yield (
            f"For {kind}s the confidence is {profile.bound.confidence:.4g}, so that evidence of {1 / risk:.6g} decides: "
            "work below the threshold is ever accepted, and work that reaches it ever rejected, with probability "
            f"{risk:.4g} at most."
        )
    yield "ACCEPT: the evidence that the threshold is reached suffices, for every demanded number."
    yield "REJECT: the evidence that it is not reached suffices, for a demanded number."
    yield f"EXTEND: neither suffices, or {few}; {grow}."


def _sampling(terms: Terms) -> Iterator[str]:
    sampling, gold = terms.acceptance.sampling, terms.acceptance.gold
    if terms.acceptance.rule == "aql" and sampling.draw == "commit_reveal":
        yield (
            "As many items of each kind as the plan says are drawn, by a key that neither party can choose alone: "
            "both publish the SHA-256 of a secret before the delivery is sealed and reveal the secret after it."
        )
    elif terms.acceptance.rule == "aql":
        yield "Every item of the lot that has gold is checked; as many of each kind as the plan says are needed."
    elif sampling.draw == "commit_reveal":
        yield (
            f"At least {sampling.min_items} items of each kind are drawn, by a key that neither party can choose alone: "
            "both publish the SHA-256 of a secret before the delivery is sealed and reveal the secret after it."
        )
    else:
        yield f"Every item of the lot that has gold is checked; at least {sampling.min_items} of each kind are needed."
    yield from strata_in_english(terms)
    yield (
        f"{gold.blind_share:.4g} of the gold is made blind, without sight of any draft, and {gold.double_label_share:.4g} "
        f"is labelled twice. The vendor may contest gold within {gold.dispute_workdays} working days; "
        f"arbiter: {gold.arbiter}."
    )


def _rework(terms: Terms) -> Iterator[str]:
    rework = terms.acceptance.rework
    sample = "a fresh sample" if rework.fresh_sample else "the same sample"
    severity = {"same": "the same severity", "tightened": "tightened severity"}[rework.severity_after_reject]
    if rework.severity_after_reject == "tightened":
        severity += f" ({_tightened(terms)})"
    yield (
        f"After a rejection: at most {rework.max_rounds} rounds of rework of {rework.workdays} working days each, judged on "
        f"{sample} with {severity}."
    )
    days = terms.acceptance.deemed_acceptance_workdays
    yield (
        f"A delivery on which the client is silent for {days} working days counts as accepted."
        if days
        else "Silence of the client never counts as acceptance."
    )


def _tightened(terms: Terms) -> str:
    acceptance = terms.acceptance
    if acceptance.rule == "aql":
        return "the plan of tightened inspection"
    if acceptance.rule == "point":
        return "the lower bound at the confidence given must reach the threshold, and the upper bound below it rejects"
    told = ", ".join(
        f"{tightened_confidence(profile.bound.confidence):.6g} for {kind}s" for kind, profile in acceptance.profiles.items()
    )
    return f"half the client's risk: confidence {told}"


def _identity(terms: Terms) -> Iterator[str]:
    yield f"Guideline {terms.guideline.version}, SHA-256 {terms.guideline.sha256}."
    yield f"Terms, SHA-256 {terms.sha256}."
