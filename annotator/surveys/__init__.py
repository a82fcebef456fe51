"""The only place that knows a survey's field names."""

from collections.abc import Mapping
from types import MappingProxyType

from annotator.surveys.lsst.record import LSST
from annotator.surveys.survey import Survey
from annotator.surveys.ztf.record import ZTF

__all__ = ["SURVEYS", "Survey"]

SURVEYS: Mapping[str, Survey] = MappingProxyType({survey.name: survey for survey in (ZTF, LSST)})
"""Every survey by its name."""
