"""What is kept of an object that was scored, so that people can be shown what the models saw, to the last bit."""

import dataclasses
import json
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotator.errors import LedgerValueError
from annotator.ledger.store.json_text import text_of
from annotator.models import ModalityScore
from annotator.transient import CutoutReference, History, LightCurve, Transient, Triplet

_CURVE_KINDS = {field.name: np.str_ if "band" in field.name else np.float64 for field in dataclasses.fields(LightCurve)}
_CURVE_KINDS["is_forced"] = np.bool_
_STAMPS = ("science", "template", "difference")
_BESIDE_STAMPS = ("time_mjd", "x_pixel", "y_pixel", "is_negative")


def transient_json(transient: Transient) -> str:
    """Write everything but the stamps' pixels; what is not finite is null."""
    plain = {**vars(transient), "features": dict(transient.features), "extras": dict(transient.extras)}
    plain["why_missing"], plain["history"] = dict(transient.why_missing), vars(transient.history)
    if transient.light_curve is not None:
        plain["light_curve"] = {name: values.tolist() for name, values in vars(transient.light_curve).items()}
    if transient.triplet is not None:
        plain["triplet"] = {"shape": transient.triplet.science.shape} | {
            name: getattr(transient.triplet, name) for name in _BESIDE_STAMPS
        }
    if transient.cutouts is not None:
        plain["cutouts"] = vars(transient.cutouts)
    return text_of(plain)


def stamps_bytes(transient: Transient) -> bytes | None:
    """Write the three stamps' pixels one after the other; None where there are none, or not three of one shape."""
    stamps = transient.triplet
    if stamps is None or len({getattr(stamps, name).shape for name in _STAMPS}) != 1:
        return None
    return b"".join(np.ascontiguousarray(getattr(stamps, name), dtype="<f4") for name in _STAMPS)


def read_snapshot(text: str, stamps: bytes | None) -> Transient:
    """Read what :func:`transient_json` and :func:`stamps_bytes` wrote.

    Raises
    ------
    LedgerValueError
        If it is not what these two write.
    """
    try:
        values = json.loads(text)
        if values["light_curve"] is not None:
            values["light_curve"] = LightCurve(
                **{name: _array(name, column) for name, column in values["light_curve"].items()}
            )
        for name in ("dates_ahead", "left_out"):
            values[name] = tuple(values.get(name, ()))
        if values["cutouts"] is not None:
            values["cutouts"] = CutoutReference(**values["cutouts"])
        if values["triplet"] is not None:
            values["triplet"] = None if stamps is None else _triplet(values["triplet"], stamps)
        values["history"] = History(**values.get("history", {}))
        return Transient(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerValueError(f"what the ledger keeps of an object cannot be read: {error!r}") from error


_KEPT_OF_A_SCORE = tuple(field.name for field in dataclasses.fields(ModalityScore) if field.name != "observed")
"""What is watched for drift was counted when it was scored."""


def model_scores_json(scores: Mapping[str, ModalityScore]) -> str:
    """Write what the models said of an object, by modality, to the last bit."""
    plain = {name: {key: getattr(score, key) for key in _KEPT_OF_A_SCORE} for name, score in scores.items()}
    return text_of(plain)


def read_model_scores(text: str) -> dict[str, ModalityScore]:
    """Read what :func:`model_scores_json` wrote.

    Raises
    ------
    LedgerValueError
        If it is not what that writes.
    """
    try:
        return {name: _model_score(**values) for name, values in json.loads(text).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise LedgerValueError(f"what the ledger keeps of an object cannot be read: {error!r}") from error


def _model_score(residual: list[float], latent: list[float], **others: object) -> ModalityScore:
    return ModalityScore(residual=tuple(residual), latent=tuple(latent), **others)


def _array(name: str, column: list) -> NDArray:
    kind = _CURVE_KINDS[name]
    if kind is np.float64:
        return np.array([math.nan if value is None else value for value in column], dtype=np.float64)
    return np.array(column, dtype=kind) if column else np.empty(0, dtype="<U2" if kind is np.str_ else kind)


def _triplet(said: dict, stamps: bytes) -> Triplet:
    pixels = np.frombuffer(stamps, dtype="<f4").astype(np.float32).reshape(len(_STAMPS), *said["shape"])
    return Triplet(*pixels, **{name: said[name] for name in _BESIDE_STAMPS if name in said})
