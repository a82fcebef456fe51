"""From plain data, as YAML and JSON give it, to frozen values of declared types: the configuration and the manifests.

A wrong key or value is named by the path of keys that leads to it, with what was expected and what was found.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import inspect

from annotator.redact import without_credentials

T = TypeVar("T")

_PATH = re.compile(r" - at `\$([^`]*)`\Z")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MOST_SHOWN = 80
"""Characters of a wrong value."""


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values that a file holds; a key that no field declares is refused.

    What a class asks of several values together it checks in ``__post_init__``, with a ValueError that begins with the
    name of one of them. A description in a field's ``Meta`` stands for the words of what is expected.
    """


def decode(content: object, kind: type[T]) -> T:
    """Make a value of a declared type out of plain data; a text becomes a path where one is declared.

    Raises
    ------
    ValueError
        If a key is unknown or missing, or a value is not what its field declares; the message says which and why.
    """
    try:
        return msgspec.convert(content, kind, dec_hook=_as_path)
    except msgspec.ValidationError as failure:
        raise ValueError(_in_words(failure, content, kind)) from None


def _as_path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str) or not value:
        raise ValueError(f"expected {kind}, found {value!r}")
    return Path(os.path.expanduser(value))


def _in_words(failure: msgspec.ValidationError, content: object, kind: type) -> str:
    """Say what is wrong: msgspec tells where, and the words are made of what is declared and found there."""
    declared, found, where = inspect.type_info(kind), content, ""
    path = _PATH.search(str(failure))
    for key, index in _STEP.findall(path[1]) if path else ():
        declared = _chosen(declared, found)
        if index:
            declared, found, where = declared.item_type, found[int(index)], f"{where}[{index}]"
        else:
            declared, found, where = _under(declared, key), found.get(key), _joined(where, key)
    chosen = _chosen(declared, found)
    if isinstance(chosen, inspect.StructType) and isinstance(found, Mapping):
        return _wrong_keys(chosen, found, where) or _joined(where, str(failure.__cause__))
    if isinstance(chosen, inspect.UnionType) and isinstance(found, Mapping):  # the tag is missing
        tag = chosen.types[0].tag_field
        declared, found, where = _under(chosen, tag), None, _joined(where, tag)
    return f"{f'{where} must be' if where else 'expected'} {_expected(declared)}; found {_shown(found)}"


def _joined(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _chosen(declared: inspect.Type, found: object) -> inspect.Type:
    """Return the type that a value must have: of one or null the one, of several that a tag tells apart the tagged."""
    if isinstance(declared, inspect.Metadata):
        return _chosen(declared.type, found)
    if not isinstance(declared, inspect.UnionType):
        return declared
    types = [item for item in declared.types if not isinstance(item, inspect.NoneType)]
    if len(types) == 1:
        return _chosen(types[0], found)
    tag = found.get(types[0].tag_field) if isinstance(found, Mapping) else None
    return next((item for item in types if item.tag == tag), inspect.UnionType(tuple(types)))


def _under(declared: inspect.Type, key: str) -> inspect.Type:
    if isinstance(declared, inspect.UnionType):  # the key is the tag, and it is none of theirs
        return inspect.LiteralType(tuple(item.tag for item in declared.types))
    return next(item.type for item in declared.fields if item.name == key)


def _wrong_keys(declared: inspect.StructType, found: Mapping, where: str) -> str | None:
    names = [item.name for item in declared.fields]
    known = [*names, declared.tag_field] if declared.tag_field else names
    for key in found:
        if key not in known:
            return f"unknown key {_joined(where, _short(str(key)))}; known here: {', '.join(sorted(known))}"
    missing = [item.name for item in declared.fields if item.required and item.name not in found]
    return f"missing key {_joined(where, missing[0])}" if missing else None


def _expected(declared: inspect.Type) -> str:
    match declared:
        case inspect.Metadata(extra_json_schema={"description": description}):
            return description
        case inspect.Metadata(type=inner):
            return _expected(inner)
        case inspect.UnionType(types=(*types, inspect.NoneType())):
            return f"{_expected(inspect.UnionType(tuple(types)))}, or null"
        case inspect.UnionType(types=(one,)):
            return _expected(one)
        case inspect.UnionType(types=types):
            tags = ", ".join(item.tag for item in types)
            return f"a mapping of keys with {types[0].tag_field}, one of {tags}"
        case inspect.IntType():
            return "a whole number" + _range(declared)
        case inspect.FloatType():
            return "a number" + _range(declared)
        case inspect.StrType():
            return "text"
        case inspect.CustomType():
            return "a path"
        case inspect.EnumType(cls=choices) | inspect.LiteralType(values=choices):
            return f"one of {', '.join(choices)}"
        case inspect.VarTupleType(min_length=least):
            return f"a list of {least} or more" if least else "a list"
        case _:
            return "a mapping of keys"


def _range(declared: inspect.IntType | inspect.FloatType) -> str:
    low = [
        f"{words} {bound:,}" for words, bound in (("from", declared.ge), ("above", declared.gt)) if bound is not None
    ]
    high = [f"{words} {bound:,}" for words, bound in (("to", declared.le), ("below", declared.lt)) if bound is not None]
    return "".join(f" {part}" for part in low + high)


def _shown(found: object) -> str:
    return "nothing" if found is None else _short(without_credentials(repr(found)))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
