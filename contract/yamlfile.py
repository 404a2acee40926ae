"""YAML read without its traps: keys once only, no aliases, no/on/dates stay words, numbers by the rules of YAML 1.2.

Source: YAML 1.2.2, section 10.3 (core schema). YAML 1.1, which PyYAML follows by default, turns an unquoted
``no`` into false, ``2025-01-01`` into a date and ``12:30`` into 750, and keeps the last of two equal keys.
"""

import re
from typing import Any, Final

import yaml

_NUMERIC: Final = "-+.0123456789"
_RESOLVERS: Final = (
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), "-+0123456789"),
    (
        "float",
        re.compile(r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"),
        "-+.0123456789",
    ),
    ("float", re.compile(r"^[-+]?(?:\.inf|\.Inf|\.INF)$|^\.(?:nan|NaN|NAN)$"), "-+."),
    ("merge", re.compile(r"^<<$"), "<"),
)


class _Loader(yaml.SafeLoader):
    """A safe loader with the core schema of YAML 1.2 that refuses a key given twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (the base declares it so)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node; an alias could stand for itself, or for millions of values, and is an error."""
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "an alias stands for a value; write the value itself", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of `node`; a key that stands twice in the file is an error."""
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands in line {seen[key]} and in line {line}"
                )
            seen[key] = line
        return super().construct_mapping(node, deep=deep)


def _loader() -> type[_Loader]:
    # Built on call, so that importing this module changes nothing.
    if not _Loader.yaml_implicit_resolvers:
        for tag, pattern, first in _RESOLVERS:
            _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", pattern, list(first))
    return _Loader


def parse_yaml(text: str) -> Any:
    """Return the single document in `text`.

    Raises:
        yaml.YAMLError: `text` is not YAML, holds two documents, gives a key twice, is nested beyond reason, or holds a
            whole number of thousands of digits.
    """
    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 (a SafeLoader)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except ValueError as error:  # Python's own limit on the digits of a whole number
        raise yaml.YAMLError(str(error).split(";")[0]) from error


def problem_in_words(error: yaml.YAMLError) -> str:
    """Return what is wrong as one line with the place, counted from 1."""
    if isinstance(error, yaml.MarkedYAMLError):
        words = " ".join(str(part) for part in (error.problem, error.context) if part)
        mark = error.problem_mark or error.context_mark
        return f"{words} (line {mark.line + 1}, column {mark.column + 1})" if mark else words
    return " ".join(str(error).split())
