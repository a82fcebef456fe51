"""The only place that knows a survey's field names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from annotator.surveys.ztf import parse as ztf
from annotator.transient import Transient

PARSERS: Mapping[str, Callable[[object], Transient]] = MappingProxyType({"ztf": ztf.parse})
"""How a record of each survey becomes a :class:`~annotator.transient.Transient`."""
