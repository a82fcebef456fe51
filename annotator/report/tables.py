"""A night as a table for people's own tools: CSV, JSON, VOTable.

The columns and their types are declared, never guessed from what a night happens to hold: tables of several nights can
be stacked, whichever of their columns are empty.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from types import MappingProxyType

from annotator.annotation import OBJECT_ID_KEY
from annotator.report.night import Candidate, Night
from annotator.surveys.links import lasair_page
from annotator.tables.formulas import as_text
from annotator.transient import Modality

TEXT, WHOLE, REAL, YES_NO = "text", "whole", "real", "yes_no"
_VOTABLE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # Of any length: where a column is empty throughout, one of a fixed length is a single letter to some programs.
        TEXT: {"datatype": "unicodeChar", "arraysize": "*"},
        WHOLE: {"datatype": "long"},
        REAL: {"datatype": "double"},
        YES_NO: {"datatype": "boolean"},
    }
)
"""What a column's kind is called in a VOTable."""
NO_WHOLE = -1
"""Stands in a VOTable for a whole number that is missing."""
_BLANKS: Mapping[str, object] = MappingProxyType({TEXT: "", WHOLE: NO_WHOLE, REAL: float("nan"), YES_NO: False})
"""What stands under the mask of a missing value."""


@dataclass(frozen=True)
class Field:
    """One column: what it holds, as VOTable wants it."""

    name: str
    kind: str
    value: Callable[[Candidate], object]
    """None or empty where the object has none."""
    meaning: str
    unit: str = ""
    ucd: str = ""


def fields(survey: str) -> list[Field]:
    """Return the columns of a night's table, in order: the same for every object and for every night of a survey."""
    return [
        Field("rank", WHOLE, attrgetter("rank"), "in the order of attention, from 1", "", "meta.number"),
        Field(OBJECT_ID_KEY, TEXT, attrgetter("object_id"), "the survey's name of the object", "", "meta.id;meta.main"),
        Field("ra", REAL, _of_transient("ra_deg"), "right ascension", "deg", "pos.eq.ra;meta.main"),
        Field("dec", REAL, _of_transient("dec_deg"), "declination", "deg", "pos.eq.dec;meta.main"),
        Field("classification", TEXT, attrgetter("classification"), "anomaly, watch, artefact, variable or normal"),
        Field("worth", REAL, attrgetter("worth"), "chance that who looks is glad of it", "", "stat.probability"),
        Field("score", REAL, attrgetter("score"), "combined: -log10 of the tail probability among normals"),
        *(field for name in Modality for field in _of_modality(name)),
        Field("exotic", REAL, attrgetter("exotic"), "like known SLSN or TDE", "", "stat.probability"),
        Field("prior", REAL, attrgetter("prior"), "-log10 of the tail probability of how blue, nuclear and slow"),
        Field("stream", REAL, attrgetter("stream"), "-log10 of the share of this stream's objects that score as high"),
        Field("n_det", WHOLE, attrgetter("n_det"), "detections", "", "meta.number;obs"),
        Field("mjd", REAL, attrgetter("mjd"), "epoch of the last detection", "d", "time.epoch"),
        Field("first_mjd", REAL, attrgetter("first_flagged_mjd"), "epoch when first flagged", "d", "time.epoch"),
        Field("is_new", YES_NO, attrgetter("is_new"), "not scored in any night before"),
        Field("is_newly_flagged", YES_NO, attrgetter("is_newly_flagged"), "first flagged in this night"),
        Field("sherlock", TEXT, attrgetter("sherlock_class"), "class by position, by Sherlock", "", "src.class"),
        Field("tns_name", TEXT, attrgetter("tns_name"), "name in TNS", "", "meta.id"),
        Field("tns_type", TEXT, attrgetter("tns_type"), "spectroscopic class in TNS", "", "src.class"),
        Field("verdict", TEXT, _verdict, "what a person said of it"),
        Field("explanation", TEXT, attrgetter("explanation"), "what carries the score", "", "meta.note"),
        Field("url", TEXT, partial(_lasair_page, survey), "its page at Lasair", "", "meta.ref.url"),
    ]


def _of_transient(name: str) -> Callable[[Candidate], object]:
    return lambda item: getattr(item.transient, name) if item.transient is not None else None


def _verdict(item: Candidate) -> str | None:
    return item.judgement.verdict if item.judgement else None


def _lasair_page(survey: str, item: Candidate) -> str:
    return lasair_page(survey, item.object_id)


def _of_modality(name: str) -> list[Field]:
    def said(what: str) -> Callable[[Candidate], object]:
        return lambda item: getattr(item.modalities[name], what) if name in item.modalities else None

    return [
        Field(f"{name}_score", REAL, said("score"), f"-log10 of the tail probability of its {name}"),
        Field(f"{name}_error", REAL, said("error"), f"reconstruction error of its {name}"),
        Field(f"{name}_missing", TEXT, said("missing"), f"why its {name} was not scored"),
    ]


def to_table(night: Night, format_name: str) -> str:
    """Write a night as a table.

    Parameters
    ----------
    format_name
        ``csv``: a header and a row an object, an empty cell where there is no value, an apostrophe before a text that a
        spreadsheet would take for a formula (:mod:`annotator.tables.formulas`); ``json``: one object of the
        night's date, model set and thresholds, the declared columns, and its objects, in which a missing value is
        absent; ``votable``: with units and UCDs, a missing value masked.
    """
    return {"csv": _csv, "json": _json, "votable": _votable}[format_name](night)


def _csv(night: Night) -> str:
    columns = fields(night.survey)
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(field.name for field in columns)
    rows.writerows([_cell(field, field.value(item)) for field in columns] for item in night.candidates)
    return text.getvalue()


def _cell(field: Field, value: object) -> object:
    return as_text(value) if field.kind == TEXT and isinstance(value, str) else value


def _json(night: Night) -> str:
    columns = fields(night.survey)
    declared = [
        {"name": field.name, "kind": field.kind, "unit": field.unit, "ucd": field.ucd, "meaning": field.meaning}
        for field in columns
    ]
    rows = [
        {field.name: value for field in columns if (value := field.value(item)) not in (None, "")}
        | {"reasons": {name: [vars(reason) for reason in found] for name, found in item.reasons.items()}}
        for item in night.candidates
    ]
    document = {**_about(night), "columns": declared, "objects": rows}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _votable(night: Night) -> str:
    from astropy.io.votable import tree

    document, resource = tree.VOTableFile(), tree.Resource()
    table = tree.TableElement(document)
    document.resources.append(resource)
    resource.tables.append(table)
    columns = fields(night.survey)
    for field in columns:
        column = tree.Field(document, ID=field.name, name=field.name, **_VOTABLE[field.kind])
        column.unit, column.ucd, column.description = field.unit or None, field.ucd or None, field.meaning
        if field.kind == WHOLE:
            column.values.null = NO_WHOLE
        table.fields.append(column)
    table.create_arrays(len(night.candidates))
    for place, item in enumerate(night.candidates):
        values = [field.value(item) for field in columns]
        missing = [value in (None, "") for value in values]
        blanks = [
            _BLANKS[field.kind] if gone else value for field, value, gone in zip(columns, values, missing, strict=True)
        ]
        table.array[place], table.array.mask[place] = tuple(blanks), tuple(missing)
    document.description = "; ".join(f"{name} {value}" for name, value in _about(night).items())
    text = io.BytesIO()
    # The writer in C of astropy 8.0.2 writes a byte beyond its buffer where a row fills it: Python's own is asked for.
    document.to_xml(text, _debug_python_based_parser=True)
    written = text.getvalue().decode()
    # astropy leaves out the data of a table without rows, and TOPCAT takes a table without data for none.
    return written if night.candidates else written.replace("</TABLE>", "<DATA><TABLEDATA/></DATA></TABLE>")


def _about(night: Night) -> dict[str, object]:
    about = {
        "night": night.date,
        "survey": night.survey,
        "model_set": night.model_set,
        "provisional": night.provisional or None,
        "made_at": night.made_at,
        "anomaly_score": night.anomaly_score,
        "watch_score": night.watch_score,
        "exotic_threshold": night.exotic_threshold,
        "left_out": night.n_left_out,
    }
    return {name: value for name, value in about.items() if value is not None}
