"""Which epochs make a light curve odd: runs of detections without which the rest is less odd."""

import numpy as np
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.models import ModalityScore, Model
from annotator.nights import day_of
from annotator.preprocess.curve_layout import TWO_BANDS, CurveLayout
from annotator.preprocess.lightcurve import Detections
from annotator.reasons.reason import Reason
from annotator.surveys import SURVEYS
from annotator.transient import Transient

MIN_DEVIATION = 1.0
"""In units of the noise: what is nearer to the reconstruction stands out in no direction."""

MAX_GAP_DAYS = 15.0
"""Without a detection in its band; a run does not reach over more."""

MAX_SHARE_OF_CURVE = 0.5
"""A run of more of the detections is no part of the light curve, but its course."""

MAX_RUNS = 24
"""That are left out in turn, those that deviate most."""

MIN_SHARE, MIN_DIFFERENCE_MAG = 0.05, 0.05
"""Of the error that goes away, and of the difference from what is expected: less is no reason."""

_LAST_MJD = 2_000_000


def find(transient: Transient, scored: ModalityScore, model: Model) -> tuple[Reason, ...]:
    """Name the runs of detections of one band without which the light curve would be less odd."""
    layout = SURVEYS[transient.survey].curve_layout
    usable = layout.usable(transient.light_curve)
    if not len(usable):  # none in the bands of the grid
        return ()
    curve = usable.where(layout.within_grid(usable))
    error = scored.numbers[model.scored_output]
    about = layout.peak(usable)
    (reconstruction,) = model.reconstruct({"lightcurve": layout.grid([usable], [about])})["reconstruction"]
    runs = candidate_runs(curve, deviations(curve, about, reconstruction, layout), layout)
    if not runs or error <= 0:
        return ()
    rests = [curve.where(~run) for run in runs]
    abouts = [layout.peak(rest) for rest in rests]
    names = [model.scored_output, "reconstruction"]
    without = model.run({"lightcurve": layout.grid(rests, abouts)}, names)
    shares = np.clip((error - without[model.scored_output]) / error, 0.0, 1.0)
    found: list[tuple[NDArray[np.bool_], Reason]] = []
    for number in np.argsort(-shares, kind="stable"):
        run = runs[number]
        if shares[number] < MIN_SHARE or any((run & other).any() for other, _ in found):
            continue
        part = curve.where(run)
        weight = 1 / (part.error_mag**2 + layout.model_error_mag**2)
        expected = expected_mag(part, abouts[number], without["reconstruction"][number], layout)
        difference_mag = float(np.average(part.magnitude - expected, weights=weight))
        if abs(difference_mag) >= MIN_DIFFERENCE_MAG:
            found.append((run, _reason(part, layout, difference_mag, float(shares[number]))))
    return tuple(reason for _, reason in found)


def expected_mag(
    curve: Detections,
    about: tuple[float, float],
    reconstruction: NDArray[np.float32],
    layout: CurveLayout = TWO_BANDS,
) -> NDArray[np.float64]:
    """Return the magnitudes that a reconstruction about a peak (time, magnitude) has at a curve's epochs, ``(n,)``."""
    peak_days, peak_mag = about
    phase = curve.time_days - peak_days
    expected = np.empty(len(curve))
    for number in range(len(layout.bands)):
        members = curve.band == number
        expected[members] = peak_mag - np.interp(phase[members], layout.days, reconstruction[number])
    return expected


def deviations(
    curve: Detections,
    about: tuple[float, float],
    reconstruction: NDArray[np.float32],
    layout: CurveLayout = TWO_BANDS,
) -> NDArray[np.float64]:
    """Return how much fainter than its reconstruction each detection is, in units of the noise, ``(n,)``."""
    noise_mag = np.hypot(curve.error_mag, layout.model_error_mag)
    return (curve.magnitude - expected_mag(curve, about, reconstruction, layout)) / noise_mag


def candidate_runs(
    curve: Detections, deviation: NDArray[np.float64], layout: CurveLayout = TWO_BANDS
) -> list[NDArray[np.bool_]]:
    """Return masks ``(n,)`` of runs of detections that are all brighter, or all fainter, than their reconstruction.

    A run goes on over one detection that stands out in no direction, and over no gap of :data:`MAX_GAP_DAYS`.
    """
    runs: list[tuple[float, list[int]]] = []
    for number in range(len(layout.bands)):
        members = np.flatnonzero(curve.band == number)
        run: list[int] = []
        between: list[int] = []
        for i in members:
            stands_out = abs(deviation[i]) >= MIN_DEVIATION
            goes_on = run and curve.time_days[i] - curve.time_days[(between or run)[-1]] <= MAX_GAP_DAYS
            if stands_out and goes_on and deviation[i] * deviation[run[0]] > 0:
                run += [*between, i]
                between = []
            elif stands_out or not goes_on or between:
                if run:
                    runs.append((float(np.square(deviation[run]).sum()), run))
                run, between = [i] if stands_out else [], []
            else:
                between = [i]
        if run:
            runs.append((float(np.square(deviation[run]).sum()), run))
    runs.sort(key=lambda item: -item[0])
    masks = []
    for _, places in runs[:MAX_RUNS]:
        mask = np.zeros(len(curve), dtype=bool)
        mask[places] = True
        if len(places) <= min(MAX_SHARE_OF_CURVE * len(curve), len(curve) - layout.min_points):
            masks.append(mask)
    return masks


def _reason(part: Detections, layout: CurveLayout, difference_mag: float, share: float) -> Reason:
    band = BANDS[layout.bands[int(part.band[0])]].letter
    first_mjd, last_mjd = float(part.time_days[0]), float(part.time_days[-1])
    direction = "fainter" if difference_mag > 0 else "brighter"
    first, last = _date(first_mjd), _date(last_mjd)
    when = f"on {first}" if first == last else f"from {first} to {last}"
    n = f" ({len(part)} detections)" if len(part) > 1 else ""
    words = f"{band} {abs(difference_mag):.1f} mag {direction} than expected {when}{n}"
    where = {
        "band": band,
        "first_mjd": first_mjd,
        "last_mjd": last_mjd,
        "difference_mag": difference_mag,
        "detections": len(part),
    }
    return Reason(words, share, where)


def _date(mjd: float) -> str:
    """Return the day, or the MJD itself where a calendar ends."""
    if not 0 <= mjd < _LAST_MJD:
        return f"MJD {mjd:.6g}"
    return day_of(mjd)
