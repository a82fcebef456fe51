"""What a peer's way of scoring anomalies takes on the same light curves, for `make bench` to print beside ours.

Fink's kind (Pruzhinskaya et al. 2023, A&A 672, A111): numbers of each band's light curve by the `light-curve` package,
written in Rust, and an isolation forest. It sees neither stamps nor hosts, and says no reasons.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

BANDS = (1, 2)
MIN_DETECTIONS = 4
"""Of a band; with fewer its numbers are 0, as an isolation forest takes no missing ones."""


def print_peer(curves: Sequence[Sequence[Mapping]], rounds: int) -> None:
    """Print microseconds an object, or why nothing was measured.

    Parameters
    ----------
    curves
        The candidates of each object, as Lasair answers them.
    rounds
        Of which the median is printed; the first warms up.
    """
    try:
        import light_curve
        from sklearn.ensemble import IsolationForest
    except ImportError as error:
        print(f"peer, light-curve features and an isolation forest: skipped, {error}; pip install -e '.[bench]'")
        return
    extractor = light_curve.Extractor(*_features(light_curve))
    arrays = [_bands(candidates) for candidates in curves]
    numbers = np.stack([_numbers(extractor, bands) for bands in arrays])
    forest = IsolationForest(n_estimators=100, random_state=1).fit(numbers)
    per_band = numbers.shape[1] // len(BANDS)
    features_s = _median_s(lambda: [_numbers(extractor, bands) for bands in arrays], rounds)
    forest_s = _median_s(lambda: forest.score_samples(numbers), rounds)
    each = 1e6 / len(curves)
    print(f"peer, {per_band} light-curve features a band and an isolation forest, processor us an object:")
    print(
        f"  features {features_s * each:.0f}, forest {forest_s * each:.0f}, both {(features_s + forest_s) * each:.0f}"
    )


def _features(light_curve) -> list:
    """Return the package's features that Fink's anomaly detection extracts, 29 numbers in all."""
    return [
        light_curve.Mean(),
        light_curve.WeightedMean(),
        light_curve.StandardDeviation(),
        light_curve.Median(),
        light_curve.Amplitude(),
        light_curve.BeyondNStd(1.0),
        light_curve.Cusum(),
        light_curve.InterPercentileRange(0.1),
        light_curve.InterPercentileRange(0.25),
        light_curve.Kurtosis(),
        light_curve.LinearTrend(),
        light_curve.LinearFit(),
        light_curve.MagnitudePercentageRatio(0.4, 0.05),
        light_curve.MagnitudePercentageRatio(0.2, 0.1),
        light_curve.MaximumSlope(),
        light_curve.MedianAbsoluteDeviation(),
        light_curve.MedianBufferRangePercentage(0.1),
        light_curve.PercentAmplitude(),
        light_curve.MeanVariance(),
        light_curve.AndersonDarlingNormal(),
        light_curve.ReducedChi2(),
        light_curve.Skew(),
        light_curve.StetsonK(),
        light_curve.EtaE(),
        light_curve.ExcessVariance(),
    ]


def _bands(candidates: Sequence[Mapping]) -> list[tuple[np.ndarray, ...]]:
    """Return time, magnitude and error of each band's detections, ``(n,)`` float64 in time order."""
    found = []
    for band in BANDS:
        rows = sorted((c["jd"], c["magpsf"], c["sigmapsf"]) for c in candidates if "candid" in c and c["fid"] == band)
        found.append(tuple(np.array(rows, dtype=np.float64).reshape(-1, 3).T.copy()))
    return found


def _numbers(extractor, bands: Sequence[tuple[np.ndarray, ...]]) -> np.ndarray:
    none = np.zeros(len(extractor.names))
    found = [
        extractor(*band, sorted=True, check=False, fill_value=0.0) if len(band[0]) >= MIN_DETECTIONS else none
        for band in bands
    ]
    return np.nan_to_num(np.concatenate(found))


def _median_s(run: Callable[[], object], rounds: int) -> float:
    times = []
    for number in range(rounds + 1):
        began = time.process_time()
        run()
        if number:
            times.append(time.process_time() - began)
    return statistics.median(times)
