"""What is wrong with a contract's terms, in words that an annotation lead can act on."""

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from contract.words import did_you_mean

_TAGS: Final = (
    "present, appears, disappears, count_over, count_under, co_occurrence, enters, leaves, dwell, black, freeze, flash or "
    "silence"
)
_HINTS: Final = {
    "string_type": "must be text; write it in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number without quotes",
    "finite_number": "must be a finite number",
    "date_from_datetime_parsing": "must be a date such as 2025-09-30",
    "date_parsing": "must be a date such as 2025-09-30",
    "date_type": "must be a date such as 2025-09-30",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
}


def terms_problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one clause per problem of `error`, each naming the full path of its field in `model`."""
    problems = error.errors()
    deeper = {problem["loc"][:-1] for problem in problems}
    # A list whose entries are wrong is told about the entries alone, not also that it is too short.
    return [
        _clause(problem, model) for problem in problems if problem["type"] != "too_short" or problem["loc"] not in deeper
    ]


def _clause(problem: ErrorDetails, model: type[BaseModel]) -> str:
    kind, loc, message, context = problem["type"], problem["loc"], problem["msg"], problem.get("ctx", {})
    names, models = _walk(loc, model)
    path = _path(names)
    if kind == "missing":
        return f"{path} is left open{_consequence(path)}"
    if kind == "extra_forbidden":
        return f"{path} is not a field of the terms{did_you_mean(str(loc[-1]), (n for m in models for n in m.model_fields))}"
    if kind == "value_error":
        said = str(context.get("error", message))
        return said if not path or said.startswith(path) else f"{path}: {said}"
    if kind == "union_tag_not_found":
        return f"{path}.rule is left open; it may be {_TAGS}"
    if kind == "union_tag_invalid":
        return f"{path}.rule is {context.get('tag')!r}, but may be {_TAGS}"
    return f"{path} {_HINTS.get(kind) or _plain(kind, message, context)}"


def _plain(kind: str, message: str, context: dict[str, Any]) -> str:
    if kind == "literal_error":
        return f"must be {context.get('expected')}"
    if kind == "string_pattern_mismatch":
        return "may hold letters, digits, '.', '_' and '-' only, or begins or ends with a space"
    if message.startswith("Input should be "):
        return "must be " + message.removeprefix("Input should be ")
    return f"is not valid ({message})"


def _consequence(path: str) -> str:
    if path.startswith("acceptance"):
        return "; it decides the verdict, so both parties must settle it (null where a metric or kind is not demanded)"
    return "; it must be filled in"


def _path(names: Sequence[str | int]) -> str:
    text = ""
    for name in names:
        shown = str(name) if str(name).isprintable() else repr(name)  # a key may hold line feeds; a message is one line
        text += f"[{name}]" if isinstance(name, int) else f".{shown}" if text else shown
    return text


def _walk(loc: Sequence[str | int], model: type[BaseModel]) -> tuple[list[str | int], list[type[BaseModel]]]:
    """Return the path without the tags of unions, and the models that the last part may be a field of."""
    names: list[str | int] = []
    at: list[type[BaseModel]] = [model]
    holders = at
    for index, part in enumerate(loc):
        annotations = [
            found.model_fields[part].annotation for found in at if isinstance(part, str) and part in found.model_fields
        ]
        if isinstance(part, int) or annotations or index == len(loc) - 1:
            names.append(part)
        holders = at
        if annotations:
            at = [found for annotation in annotations for found in _models_in(annotation)]
    return names, holders


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Annotated, Union, types.UnionType, tuple}:
        for argument in get_args(annotation):
            yield from _models_in(argument)
