"""The whole of a report's folder: score, verdict, digests; and the command."""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .counts import counted_interval, unfounded_count
from .findings import Disagreement, Findings
from .labels import boxes, timeline
from .quality import quality
from .shots import kinds_and_length
from .texts import sentiments

SCORE: Final = "score.json"
PAGE: Final = "report.html"
VERDICT: Final = "verdict.json"
DOCUMENT: Final = "report.json"
CONTENT: Final = "report.json (…)"  # on the page: the digest of all of it but its key `files`
RECOMPUTE: Final[Mapping[str, Callable[[Path, Mapping[str, Any]], dict[str, Any]]]] = {
    "boxes": boxes,
    "sentiments": sentiments,
    "shots": lambda folder, said: timeline(folder, said) | kinds_and_length(folder, said),
    "keyframes": timeline,
    "events": timeline,
}
_TASKS: Final = {"image": "boxes", "text": "sentiments"}
_TIMELINES: Final = {"keyframe_f1": "keyframes", "event_f1": "events", "shot_f1": "shots"}
_TIMELINES_COUNTED: Final = {"keyframe_conforming": "keyframes", "event_conforming": "events", "shot_conforming": "shots"}
_GRAVEST_FIRST: Final = ("REJECT", "EXTEND", "ACCEPT")
_PIN: Final = re.compile(r'data-file="([^"]+)">([0-9a-f]{64})<')


def verify(folder: Path) -> Findings:
    """Recompute what stands in `folder` and return every disagreement."""
    findings = Findings()
    for part in (_digests, _scores, _verdict, _twin):
        _try(part, folder, findings)
    findings.disagreements = list(dict.fromkeys(findings.disagreements))
    return findings


def _try(part: Callable[[Path, Findings], None], folder: Path, findings: Findings) -> None:
    """Run `part`; a document that is not even shaped like ours is a disagreement, not a crash."""
    try:
        part(folder, findings)
    except Disagreement as line:
        findings.disagreements.append(str(line))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        findings.disagreements.append(f"{folder}: not written as goldgate writes it ({type(error).__name__}: {error})")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise Disagreement(f"{path.name}: the file is not there") from None
    except ValueError as error:
        raise Disagreement(f"{path.name}: not a JSON document ({error})") from None


def _digests(folder: Path, findings: Findings) -> None:
    """Compare the files with the digests that the page and its JSON twin carry."""
    page = folder / PAGE
    if not page.exists():
        raise Disagreement(f"{PAGE}: the file is not there")
    pinned = dict(_PIN.findall(page.read_text(encoding="utf-8", errors="replace")))
    content = pinned.pop(CONTENT, None)
    if SCORE not in pinned:
        findings.disagreements.append(f"{PAGE}: carries no digest of {SCORE}, so that it may belong to any score")
    _pins(folder, findings, PAGE, pinned)
    named = {**pinned, PAGE: "", DOCUMENT: "", "": ""}
    if (folder / DOCUMENT).exists():
        twin = _json(folder / DOCUMENT)
        _compare_content({key: value for key, value in twin.items() if key != "files"}, content, findings)
        named |= twin["files"]
        _pins(folder, findings, DOCUMENT, twin["files"])
    else:
        findings.disagreements.append(f"{DOCUMENT}: the file is not there")
    for path in sorted(folder.glob("*.parquet")):
        if path.name not in named:
            findings.disagreements.append(f"{path.name}: neither {PAGE} nor {DOCUMENT} names it")


def _compare_content(said: Mapping[str, Any], digest: str | None, findings: Findings) -> None:
    """Compare the twin's content with its digest on the page: of canonical JSON, keys sorted, without spaces."""
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() == digest:
        findings.agreed += 1
    else:
        findings.disagreements.append(
            f"{DOCUMENT}: what it says is not what {PAGE} names by its SHA-256: one of the two was changed or swapped"
        )


def _pins(folder: Path, findings: Findings, by: str, pinned: Mapping[str, str]) -> None:
    for name, digest in sorted(pinned.items()):
        path = folder / Path(name).name
        if not path.exists():
            findings.disagreements.append(f"{name}: {by} names it, and it is not there")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            findings.disagreements.append(
                f"{name}: its SHA-256 is not the one in {by}: one of the two was changed or swapped"
            )
        else:
            findings.agreed += 1


def scores_in(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return task -> score, of a document that holds one score or one for each task."""
    return {document["task"]: document} if isinstance(document.get("task"), str) else dict(document)


def _scores(folder: Path, findings: Findings) -> None:
    for task, said in scores_in(_json(folder / SCORE)).items():
        if task not in RECOMPUTE or said.get("task") != task:
            findings.disagreements.append(f"{SCORE}: {task} holds a score of {said.get('task')!r}")
            continue
        try:
            findings.compare(said, RECOMPUTE[task](folder, said), f"{SCORE}: {task}")
        except Disagreement as line:
            findings.disagreements.append(str(line))


def _verdict(folder: Path, findings: Findings) -> None:
    """Compare a verdict's criteria with the scores, and its outcomes with its own limits."""
    if not (folder / VERDICT).exists():
        return
    verdict, scores = _json(folder / VERDICT), scores_in(_json(folder / SCORE))
    original = folder.parent.parent / "verdicts" / f"{folder.name}.json"
    if original.exists() and _json(original) != verdict:
        findings.disagreements.append(f"{VERDICT}: differs from {original}")
    for criterion in verdict["criteria"]:
        where, seen = f"{VERDICT}: {criterion['name']}", criterion.get("counted")
        interval = counted_interval(seen) if seen else _interval_of(criterion["name"], scores)
        if interval is None:
            findings.not_recomputed[where] = "no limit of the scores carries this criterion"
        else:
            found = {ours: interval[theirs] for ours, theirs in _SAME.items()}
            findings.compare({key: criterion[key] for key in found}, found, where)
        findings.disagreements += [f"{where} is {line}" for line in _unfounded(criterion, verdict["rule"], scores)]
    outcomes = {criterion["outcome"] for criterion in verdict["criteria"]}
    gravest = next((outcome for outcome in _GRAVEST_FIRST if outcome in outcomes), "EXTEND")
    if _GRAVEST_FIRST.index(verdict["verdict"]) > _GRAVEST_FIRST.index(gravest):
        findings.disagreements.append(f"{VERDICT}: says {verdict['verdict']}, but a criterion says {gravest}")


def _twin(folder: Path, findings: Findings) -> None:
    """Compare what report.json says beside the figures of the scores."""
    if not (folder / DOCUMENT).exists():
        return
    twin = _json(folder / DOCUMENT)
    verdict = _json(folder / VERDICT) if (folder / VERDICT).exists() else None
    if twin.get("verdict") != verdict:
        findings.disagreements.append(f"{DOCUMENT}: its verdict is not that of {VERDICT}")
    quality(folder, twin, scores_in(_json(folder / SCORE)), findings)


_SAME: Final = {"estimate": "estimate", "lower_bound": "lower", "upper_bound": "upper", "units": "units"}


def _score_of(name: str, scores: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    kind, metric = name.split(".")[:2]
    return scores.get(_TASKS.get(kind, (_TIMELINES | _TIMELINES_COUNTED).get(metric, "")), {})


def _interval_of(name: str, scores: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    _, _, rest = name.partition(".")
    metric, _, label = rest.partition(".")
    score = _score_of(name, scores)
    if metric == "class_recall":
        found = [
            row["recall_bound"] for row in score.get("per_class", []) if row["label"] == label and row["tp"] + row["fn"]
        ]
        return found[0] if found else None
    interval: Mapping[str, Any] | None = score.get("bounds", {}).get("f1" if metric in _TIMELINES else metric)
    return interval


def _unfounded(criterion: Mapping[str, Any], rule: str, scores: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an outcome: ACCEPT without proof, REJECT without cause."""
    if criterion.get("counted"):
        yield from unfounded_count(criterion, _score_of(criterion["name"], scores))
        return
    lower, upper = ("estimate", "estimate") if rule == "point" else ("lower_bound", "upper_bound")
    low, high, threshold = criterion[lower], criterion[upper], criterion["threshold"]
    if criterion["outcome"] == "ACCEPT" and (low is None or low < threshold):
        yield f"ACCEPT, but its {lower} {low} does not reach {threshold}"
    unlabelled = _score_of(criterion["name"], scores).get("coverage", {}).get("incomplete")
    if criterion["outcome"] == "REJECT" and not unlabelled and (high is None or high >= threshold):
        yield f"REJECT, but its {upper} {high} is not below {threshold}"


def lines(findings: Findings) -> list[str]:
    """Return the findings for people: disagreements, what was not recomputed, and the sum."""
    skipped = [f"not recomputed: {where}: {why}" for where, why in findings.not_recomputed.items()]
    count = len(findings.disagreements)
    verdict = f"{count} disagreements" if count else "all agree"
    return [*findings.disagreements, *skipped, f"{findings.agreed} figures and digests recomputed; {verdict}"]


def main(arguments: Sequence[str]) -> int:
    """Verify the folder named in `arguments`; 0 if all agrees, 2 if not."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python verifier DIR (a folder with score.json, its evidence and report.html)\n")
        return 2
    findings = verify(Path(arguments[0]))
    sys.stdout.write("\n".join(lines(findings)) + "\n")
    return 2 if findings.disagreements else 0
