"""Model class names to the guideline's classes, by name; never by number."""

from collections.abc import Mapping
from typing import NamedTuple

from contract.guideline import Guideline, name_map


class ClassMap(NamedTuple):
    """Which of a model's classes are used, as what, and what finds no partner."""

    labels: Mapping[int, str]  # the model's class number -> label
    classes: tuple[str, ...]  # labels that can come out, in the guideline's order
    dropped: tuple[str, ...]  # model classes that the guideline does not know
    uncovered: tuple[str, ...]  # guideline classes that no model class means


def map_classes(names: Mapping[int, str], guideline: Guideline | None) -> ClassMap:
    """Join a model's class `names` with the classes of `guideline` and their model_names.

    Without a guideline every model class is its own label. Exact spelling comes first; a name that differs only
    in case or in spaces, hyphens and underscores is taken for the same word.
    """
    if guideline is None:
        return ClassMap(dict(names), tuple(dict.fromkeys(names.values())), (), ())
    exact = name_map(guideline.classes)
    loose: dict[str, str] = {}
    for alias, label in exact.items():
        loose.setdefault(_plain(alias), label)
    labels = {}
    for number, name in names.items():
        meant = exact.get(name) or loose.get(_plain(name))
        if meant is not None:
            labels[number] = meant
    used = set(labels.values())
    return ClassMap(
        labels,
        tuple(name for name in guideline.class_names if name in used),
        tuple(name for number, name in names.items() if number not in labels),
        tuple(name for name in guideline.class_names if name not in used),
    )


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
