"""YAML that a person wrote, read without what a configuration has no use for and what a machine is brought down by.

A few lines of aliases of aliases stand for billions of values, and brackets within brackets end the program that reads
them: both are refused, as is a file far longer than any configuration.
"""

import re
from pathlib import Path

import yaml

from annotator.errors import ConfigError

MAX_BYTES = 200_000
"""Twenty times as long as the example with all its comments."""
MAX_DEPTH = 20
MAX_NUMBER = 10**18
"""Far above every number of a configuration; one of thousands of digits cannot even be shown."""
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no path can have, and no text is written by: NUL and halves of surrogate pairs, which YAML lets be escaped."""


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, of which YAML would silently keep the last, and one of no text."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, f"found the alias *{event.anchor}; write out what it stands for", event.start_mark
            )
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"it is nested more than {MAX_DEPTH} levels deep", event.start_mark
            )
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, OverflowError, AttributeError) as error:  # of dates and numbers that PyYAML takes for such
            raise _wrong(node, "is no date and no number, and needs quotes") from error
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise _wrong(node, "is far too large a number")
        if isinstance(value, str) and _NO_TEXT.search(value):
            raise _wrong(node, "holds a character that no text has")
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                what = "repeated" if isinstance(key, str) else "not a plain name"
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is {what}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _wrong(node: yaml.Node, what: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, f"{str(node.value)[:40]!a} {what}", node.start_mark)


def read_yaml(path: Path) -> object:
    """Return what a file of YAML says, in plain values.

    Raises
    ------
    ConfigError
        If it cannot be read, is too long, has aliases or is nested too deeply, or is no YAML with each key once.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError(f"the configuration {path} is longer than {MAX_BYTES:,} bytes: is it one?")
        return yaml.load(content.decode(), Loader=_Loader)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration {path} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        hint = "; a text that begins with @ or * needs quotes" if re.search("alias|'@'", str(error)) else ""
        raise ConfigError(
            f"the configuration {path} is not valid YAML: {' '.join(str(error).split())}{hint}"
        ) from error
