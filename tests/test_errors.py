import ast
import builtins
import inspect
import re
from pathlib import Path

import annotator
from annotator import errors

ROOM = Path(annotator.__file__).parent
SOURCES = [path for room in (ROOM, ROOM.parent / "training") for path in room.rglob("*.py")]

_LINE = re.compile(r"    (?P<stem>[│├└─ ]*)(?P<name>[A-Z]\w+Error)\b")


def drawn_tree() -> dict[str, str]:
    """Return each exception that is drawn with the one that it hangs from."""
    parents, above = {}, []
    for line in errors.__doc__.splitlines():
        if found := _LINE.match(line):
            depth = len(found["stem"]) // 4
            parents[found["name"]] = above[depth - 1] if depth else "Exception"
            above[depth:] = [found["name"]]
    return parents


def test_the_drawn_tree_is_that_of_the_classes():
    classes = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls)}
    assert drawn_tree() == {name: cls.__base__.__name__ for name, cls in classes.items()}


def test_no_exception_is_defined_anywhere_else():
    known = {*drawn_tree(), *(name for name, item in vars(builtins).items() if _is_exception(item))}
    elsewhere = [
        f"{path.name}: {item.name}"
        for path in SOURCES
        if path != Path(errors.__file__)
        for item in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(item, ast.ClassDef) and known & {ast.unparse(base).split(".")[-1] for base in item.bases}
    ]
    assert elsewhere == []


def _is_exception(item: object) -> bool:
    return inspect.isclass(item) and issubclass(item, BaseException)
