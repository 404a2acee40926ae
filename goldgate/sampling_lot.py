"""`goldgate sample`: commitments, the draw, its extension, and the samples on record."""

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc
from pydantic import ValidationError

from contract.errors import InputError, StageError
from contract.files import json_bytes, read_json, sha256_file, storage_errors, write_once
from contract.labelset import LabelSet
from contract.life.events import Committed, Drawn, Extended
from contract.life.files import History, read_history
from contract.life.state import rules_of
from contract.ruleterms import applied
from contract.sample import Sample, SampledItem, StratumCount
from contract.tables import Kind
from contract.workfolder import lot_folder, lot_names, next_number
from goldgate import lotlife
from goldgate.stages import Stage
from prelabel.handoff import read_drafts, read_sealed
from prelabel.run import read_intake_receipt, read_manifest
from qa.counting import plan_for
from qa.sampling.draw import commitment, draw_key, fresh_key
from qa.sampling.strata import strata
from qa.sampling.stratified import BLIND, DOUBLE, allocate, draw_strata, marked

SIDES: Final = ("client", "vendor")
_LEAST_NONCE: Final = 16  # bytes; fewer could be guessed from the commitment


def commit(stage: Stage, party: str, nonce: Path | None) -> tuple[Path, str]:
    """Publish the commitment to a nonce, which is made where none is given; return the nonce's file and the commitment.

    Raises:
        StageError: the submission is sealed, or the party has committed itself.
    """
    if party not in SIDES:
        raise InputError(f"--party {party!r}: write client or vendor")
    stage.lot.require()
    lotlife.require(stage, "committed")
    if party in lotlife.history_of(stage).life.commitments:
        raise StageError(f"lot {stage.lot_name!r}: the {party} has published its commitment, which stands")
    path = nonce if nonce is not None else _new_nonce(stage, party)
    published = commitment(_nonce(path))
    elsewhere = [name for name in lot_names(stage.work, stage.terms.contract) if name != stage.lot_name]
    for name in elsewhere:
        events = read_history(lot_folder(stage.work, stage.terms.contract, name), rules_of(stage.terms)).events
        if any(isinstance(event, Committed) and event.commitment == published for event, _ in events):
            raise StageError(f"{path}: lot {name!r} was committed to with the same nonce; every draw needs a new one")
    lotlife.record(stage, "committed", party, {"party": party, "commitment": published})
    return path, published


def _new_nonce(stage: Stage, party: str) -> Path:
    """Make a nonce in the current folder, which is the party's own; the work folder may be shared."""
    life = lotlife.history_of(stage).life
    path = Path(f"nonce-{stage.terms.contract}-{stage.lot_name}-{party}-{life.draws + 1}")
    with storage_errors(path):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise StageError(f"{path}: exists already; name it by --nonce or move it away") from error
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    return path


def _nonce(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the nonce cannot be read ({error.strerror})") from error
    if len(content) < _LEAST_NONCE:
        raise InputError(f"{path}: a nonce of {len(content)} bytes could be guessed; give {_LEAST_NONCE} or more")
    return content


def sizes_of(texts: Sequence[str]) -> dict[Kind | None, int]:
    """Return what -n says: a number for every kind (key None), or KIND=NUMBER.

    Raises:
        InputError: it is neither.
    """
    sizes: dict[Kind | None, int] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        if not number.isdigit() or int(number) < 1 or (name and name not in {kind.value for kind in Kind}):
            raise InputError(f"-n {text!r}: write a number, or image=, text= or video= and a number")
        sizes[Kind(name) if name else None] = int(number)
    return sizes


@dataclass(frozen=True)
class _Pot:
    """What a draw is made from: the key, and the items of each kind by stratum."""

    key: bytes
    strata: Mapping[Kind, Mapping[str, list[str]]]


def draw(stage: Stage, nonces: Mapping[str, Path], sizes: Mapping[Kind | None, int]) -> Sample:
    """Draw a sample of the present submission and keep it.

    Raises:
        StageError: no draw may follow, or a nonce is not the one that was committed to.
        InputError: a size does not fit the lot or the terms.
    """
    lotlife.require(stage, "drawn")
    life = lotlife.history_of(stage).life
    full = stage.terms.acceptance.sampling.draw == "full"
    revealed = {} if full else {side: _revealed(side, nonces, life.bound) for side in SIDES}
    submission = read_sealed(stage.lot, "submission", life.submission)
    manifest = read_intake_receipt(stage.lot).manifest_sha256
    if full:
        key = hashlib.sha256(b"full|" + bytes.fromhex(manifest)).digest()
    else:
        base = draw_key(revealed["client"], revealed["vendor"], manifest_sha256=bytes.fromhex(manifest))
        key = fresh_key(base, draw=life.draws, seal=bytes.fromhex(submission.receipt.labels_sha256))
    pot = _Pot(key, _strata(stage, submission.labels))
    wanted = {kind: _size(stage, kind, pot, sizes, "min_items") for kind in pot.strata}
    items, counts = _drawn(stage, pot, wanted, None)
    sample = Sample(
        number=next_number(stage.lot.samples),
        extends=None,
        contract=stage.terms.contract,
        lot=stage.lot_name,
        draw=life.draws,
        submission=submission.number,
        seal=submission.receipt.labels_sha256,
        manifest_sha256=manifest,
        nonces={side: nonce.hex() for side, nonce in revealed.items()},
        key=key.hex(),
        stratify=stage.terms.acceptance.sampling.stratify,
        strata=counts,
        items=items,
    )
    details = {"submission": sample.submission}
    return _keep(stage, sample, "drawn", details)


def extend(stage: Stage, sizes: Mapping[Kind | None, int], *, whole: bool = False) -> Sample:
    """Take the next items of the draw in force, up to `extend_to` of the terms, and keep the larger sample.

    With `whole` every item is taken: the inspection of all, on which parties agree where no sample decides.

    Raises:
        StageError: there is no sample to extend.
        InputError: a size does not fit the lot or the terms, or adds nothing.
    """
    lotlife.require(stage, "extended")
    history = lotlife.history_of(stage)
    earlier = read_sample(stage, history, history.life.sample)
    submission = read_sealed(stage.lot, "submission", earlier.submission)
    pot = _Pot(bytes.fromhex(earlier.key), _strata(stage, submission.labels))
    if whole:
        wanted = {kind: sum(len(items) for items in of.values()) for kind, of in pot.strata.items()}
    else:
        wanted = {kind: _size(stage, kind, pot, sizes, "extend_to", earlier=earlier) for kind in pot.strata}
    if sum(wanted.values()) == len(earlier.items):
        raise InputError(f"sample {earlier.number} has {len(earlier.items)} items and would not grow; give a larger -n")
    items, counts = _drawn(stage, pot, wanted, earlier)
    number = next_number(stage.lot.samples)
    larger = earlier.model_copy(update={"number": number, "extends": earlier.number, "items": items, "strata": counts})
    return _keep(stage, larger, "extended", {"extends": earlier.number})


def _revealed(side: str, nonces: Mapping[str, Path], commitments: Mapping[str, str]) -> bytes:
    if side not in nonces:
        raise InputError(f"name the {side}'s nonce by --{side}-nonce")
    content = _nonce(nonces[side])
    if commitment(content) != commitments[side]:
        raise StageError(f"{nonces[side]}: is not the nonce to which the {side} committed itself")
    return content


def _strata(stage: Stage, submission: LabelSet) -> dict[Kind, dict[str, list[str]]]:
    """Return kind -> stratum -> items, of all items that intake accepted."""
    by = stage.terms.acceptance.sampling.stratify
    drafts = read_drafts(stage.lot)[1] if "confidence" in by else None
    manifest = read_manifest(stage.lot, read_intake_receipt(stage.lot))
    found: dict[Kind, dict[str, list[str]]] = {}
    for kind in Kind:
        names = manifest.filter(pc.equal(manifest["kind"], kind.value))["item"].to_pylist()
        for item, stratum in strata(names, kind, by, submission=submission, drafts=drafts).items():
            found.setdefault(kind, {}).setdefault(stratum, []).append(item)
    return found


def _size(
    stage: Stage, kind: Kind, pot: _Pot, sizes: Mapping[Kind | None, int], default: str, *, earlier: Sample | None = None
) -> int:
    """Return how many items of `kind` are to be drawn, checked against the lot, the terms and the earlier sample."""
    sampling = stage.terms.acceptance.sampling
    total = sum(len(items) for items in pot.strata[kind].values())
    before = len(earlier.of(kind)) if earlier else 0
    if sampling.draw == "full":
        return total
    wanted = sizes.get(kind, sizes.get(None))
    if wanted is None:
        given = (before if sizes else 0) or _default_size(stage, default, total)
        return min(total, max(given, before, len(pot.strata[kind])))
    size = min(wanted, total)
    if size > sampling.extend_to and sampling.aql is None:  # a plan by AQL says its own number
        raise InputError(f"-n asks for {size} {kind.value} items, but the terms end at extend_to {sampling.extend_to}")
    if size < before:
        raise InputError(f"-n asks for {size} {kind.value} items, but {before} are drawn already, and none is taken back")
    if size < len(pot.strata[kind]):
        raise InputError(f"-n asks for {size} {kind.value} items, fewer than the {len(pot.strata[kind])} strata of the lot")
    return size


def _default_size(stage: Stage, field: str, total: int) -> int:
    """Return what the terms say: under rule aql the plan's number, else min_items or extend_to."""
    round_ = lotlife.history_of(stage).life.round
    sampling = applied(stage.terms, lotlife.severity_of(stage, round_)).acceptance.sampling
    if sampling.aql is not None and field == "min_items":
        return plan_for(sampling.aql, total).n
    return int(getattr(sampling, field))


def _drawn(
    stage: Stage, pot: _Pot, wanted: Mapping[Kind, int], earlier: Sample | None
) -> tuple[tuple[SampledItem, ...], tuple[StratumCount, ...]]:
    items: list[SampledItem] = []
    counts: list[StratumCount] = []
    for kind, of in pot.strata.items():
        kept = [each for each in earlier.items if each.kind is kind] if earlier else []
        already = {row.stratum: row.drawn for row in earlier.strata if row.kind is kind} if earlier else {}
        sizes = {stratum: len(names) for stratum, names in of.items()}
        allotted = allocate(sizes, wanted[kind], already=already)
        known = {each.item for each in kept}
        chosen = draw_strata(of, allotted, key=pot.key)
        new = {item: stratum for stratum, names in chosen.items() for item in names if item not in known}
        marks = {label: _marked(stage, label, new, kept, pot.key) for label in (BLIND, DOUBLE)}
        items += kept
        items += [
            SampledItem(item=item, kind=kind, stratum=stratum, blind=item in marks[BLIND], double=item in marks[DOUBLE])
            for item, stratum in new.items()
        ]
        counts += [StratumCount(kind=kind, stratum=name, items=sizes[name], drawn=allotted[name]) for name in sorted(sizes)]
    return tuple(items), tuple(counts)


def _marked(stage: Stage, label: str, new: Mapping[str, str], kept: Sequence[SampledItem], key: bytes) -> frozenset[str]:
    gold = stage.terms.acceptance.gold
    share = gold.blind_share if label == BLIND else gold.double_label_share
    before = sum(getattr(each, label) for each in kept)
    return marked(new, share, key=key, label=label, earlier=len(kept), earlier_marked=before)


def _keep(stage: Stage, sample: Sample, kind: str, details: Mapping[str, Any]) -> Sample:
    path = stage.lot.samples / f"{sample.number}.json"
    write_once(path, json_bytes(sample.model_dump(mode="json")))
    counts = {name.value: count for name, count in sample.counts.items()}
    who = "goldgate"
    event = {"sample": sample.number, "items": counts, "sample_sha256": sha256_file(path), **details}
    lotlife.record(stage, kind, who, event)
    return sample


def read_sample(stage: Stage, history: History, number: int | None) -> Sample:
    """Return sample `number`, or the newest, if its file is the one that was drawn.

    Raises:
        StageError: there is none, or its file was changed.
    """
    events = [event for event, _ in history.events if isinstance(event, Drawn | Extended)]
    found = [event for event in events if number is None or event.sample == number]
    if not found:
        wanted = "sample" if number is None else f"sample {number}"
        raise StageError(f"lot {stage.lot_name!r} has no {wanted} on record; draw one by 'goldgate sample draw'")
    path = stage.lot.samples / f"{found[-1].sample}.json"
    if not path.exists() or sha256_file(path) != found[-1].sample_sha256:
        raise StageError(f"{path}: missing or changed since it was drawn; put back the file as it was written")
    try:
        return Sample.model_validate(read_json(path))
    except ValidationError as error:
        raise StageError(f"{path}: not a sample; put back the file as it was written") from error
