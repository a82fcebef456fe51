"""The only place that knows a survey's field names."""

from collections.abc import Mapping
from types import MappingProxyType

from annotator.surveys.lsst.record import LSST
from annotator.surveys.survey import Survey
from annotator.surveys.ztf.record import ZTF

__all__ = ["SURVEYS", "Survey", "of_another_survey", "others_than"]

SURVEYS: Mapping[str, Survey] = MappingProxyType({survey.name: survey for survey in (ZTF, LSST)})
"""Every survey by its name."""


def others_than(survey: Survey) -> list[Survey]:
    """Return all surveys but one."""
    return [other for other in SURVEYS.values() if other.name != survey.name]


def of_another_survey(record: object, survey: Survey) -> str:
    """Say of which other survey the object is that a record names, for the end of a sentence.

    Empty where it names one of this survey, or of none.
    """
    if not isinstance(record, Mapping) or survey.object_id(record):
        return ""
    found = next((other.name for other in others_than(survey) if other.object_id(record)), "")
    return f"; it is a record of survey {found}" if found else ""
