"""What Lasair holds of a topic, and which objects its main database has: asked by objects, or page by page.

Lasair shows an annotation only beside its object (its query joins the two), and its streams tell of an object before
the main database has it. So what is not shown may be there all the same.
"""

import datetime
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotator.annotation import Annotation
from annotator.lasair.api import LasairApi
from annotator.surveys import Survey

MAX_ASKED = 150
"""Objects that one query can name: Lasair takes up to 4,096 characters of conditions."""


@dataclass(frozen=True)
class Held:
    """An annotation as Lasair shows it, whoever wrote it."""

    object_id: str
    classification: str
    version: str
    explanation: str
    url: str
    numbers: Mapping[str, object]
    """Its classdict; empty where that is none."""
    stored_at: float | None
    """By Lasair's clock, in seconds since 1970."""

    def shows(self, annotation: Annotation) -> bool:
        """Say whether this is that annotation: by class, version and all numbers, its score among them.

        Successive annotations of an object differ in one of these. Texts are left out: a database that trims or
        recodes one must not make us write for ever.
        """
        return (
            self.classification == annotation.classification
            and self.version == annotation.version
            and self.numbers.keys() == annotation.classdict.keys()
            and all(_is_near(self.numbers[name], value) for name, value in annotation.classdict.items())
        )

    def as_annotation(self, topic: str) -> Annotation:
        """Return it as an annotation of ours; raise AnnotationError where it is outside our contract."""
        return Annotation(
            self.object_id, topic, self.classification, self.version, self.explanation, self.numbers, self.url
        )


def held_of(api: LasairApi, annotations: Sequence[Annotation]) -> dict[str, Held]:
    """Look up what Lasair shows of these annotations' objects, by object: one call for each topic.

    Parameters
    ----------
    api
        Lasair.
    annotations
        At most :data:`MAX_ASKED`.

    Raises
    ------
    LasairApiError
        If there is no answer.
    """
    found: dict[str, Held] = {}
    for topic in dict.fromkeys(annotation.topic for annotation in annotations):
        object_ids = [annotation.object_id for annotation in annotations if annotation.topic == topic]
        rows = api.query(_selected(api.survey, topic), _tables(topic), one_of(api.survey, object_ids), MAX_ASKED)
        found |= {held.object_id: held for held in _read(rows, api.survey)}
    return found


def held_after(api: LasairApi, topic: str, after: str, most: int) -> list[Held]:
    """Return the annotations of a topic that follow an object, in the order of their objects' ids.

    Parameters
    ----------
    api
        Lasair.
    topic
        Whose annotations.
    after
        Id of an object; empty to begin.
    most
        Rows to ask for; Lasair gives no more than the account's level allows, 1,000 at the least.

    Raises
    ------
    LasairApiError
        If there is no answer.
    """
    survey = api.survey
    beginning = after or ("0" if survey.id_is_number else "")
    conditions = f"{survey.id_sql} > {survey.id_literal(beginning)} ORDER BY {survey.id_sql}"
    rows = api.query(_selected(survey, topic), _tables(topic), conditions, most)
    return list({held.object_id: held for held in _read(rows, survey)}.values())


def objects_in_main(api: LasairApi, object_ids: Sequence[str]) -> set[str]:
    """Return those of these objects, at most :data:`MAX_ASKED`, that the main database has; one call.

    Raises
    ------
    LasairApiError
        If there is no answer.
    """
    rows = api.query(api.survey.id_sql, "objects", one_of(api.survey, object_ids), MAX_ASKED)
    return {api.survey.object_id(row) for row in rows} & set(object_ids)


def _selected(survey: Survey, topic: str) -> str:
    names = ("classification", "version", "explanation", "url", "classdict", "timestamp")
    return ", ".join((survey.id_sql, *(f"{topic}.{name}" for name in names)))


def _tables(topic: str) -> str:
    return f"objects, annotator:{topic}"


def one_of(survey: Survey, object_ids: Iterable[str]) -> str:
    """Write in SQL that an object is one of these, at most :data:`MAX_ASKED`."""
    return f"{survey.id_sql} IN ({', '.join(map(survey.id_literal, object_ids))})"


def _read(rows: Iterable[Mapping[str, object]], survey: Survey) -> Iterable[Held]:
    for row in rows:
        if object_id := survey.object_id(row):
            texts = (str(row.get(name) or "") for name in ("classification", "version", "explanation", "url"))
            yield Held(object_id, *texts, _numbers(row.get("classdict")), _unix_s(row.get("timestamp")))


def _numbers(classdict: object) -> Mapping[str, object]:
    try:
        found = json.loads(classdict) if isinstance(classdict, str) else classdict
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_near(found: object, expected: float) -> bool:
    return isinstance(found, int | float) and math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


def _unix_s(timestamp: object) -> float | None:
    try:
        return datetime.datetime.fromisoformat(str(timestamp)).replace(tzinfo=datetime.UTC).timestamp()
    except (ValueError, OverflowError):
        return None
