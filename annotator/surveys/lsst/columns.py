"""The columns of Lasair-LSST that are read, and which of them may be inputs of a model.

None of ZTF's has its name here, and most have no counterpart: what a light curve says is computed from the light curve.
What Lasair has computed itself is optional, and nearly always absent: a fit needs several bands and nights.
"""

from annotator.preprocess.features import Feature

_ABOVE_0 = 1e-6
"""Sherlock's 0 stands for "unknown"."""

FEATURES: tuple[Feature, ...] = (
    Feature(
        "separationArcsec",
        "host_separation",
        "arcsec",
        _ABOVE_0,
        1800.0,
        "distance to the host that Sherlock found",
    ),
    Feature(
        "major_axis_arcsec", "host_size", "arcsec", _ABOVE_0, 12000.0, "major axis of the host that Sherlock found"
    ),
    # An exponential rise, and an exponential fall after it, of a black body, fitted by Lasair in all bands at once.
    Feature("BBBRiseRate", "fitted_rise", "1/day", -20.0, 20.0, "e-folding rate of the rise that Lasair fits"),
    Feature("BBBFallRate", "fitted_fall", "1/day", -20.0, 20.0, "e-folding rate of the fall that Lasair fits"),
    Feature("BBBTemp", "fitted_temperature", "kK", 0.5, 500.0, "temperature that Lasair fits"),
    Feature("jump1", "jump", "sigma", -1e5, 1e5, "largest step from the baseline of 70 to 10 days ago, in any band"),
    Feature("jump2", "second_jump", "sigma", -1e5, 1e5, "largest step from that baseline in any other band"),
    # Not the colours themselves, which mean nothing without the two bands that each happens to be of.
    Feature("latestPairColourTemp", "pair_temperature", "kK", 0.5, 500.0, "temperature of the latest pair of bands"),
    Feature(
        "penultimatePairColourTemp",
        "earlier_pair_temperature",
        "kK",
        0.5,
        500.0,
        "temperature of the pair of bands before",
    ),
)
"""In the order of a model's input; each may be missing."""

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)

SURROUNDINGS = (
    "separationArcsec",
    "major_axis_arcsec",
    "physical_separation_kpc",
    "distance",
    "classification",
)
"""Columns that do not change while an object evolves."""

OTHER_COLUMNS = (
    *("classification", "physical_separation_kpc", "distance", "ra", "decl"),
    *("firstDiaSourceMjdTai", "lastDiaSourceMjdTai", "nDiaSources", "nPosDiaSources", "nSourcesGood", "latestR"),
)
"""All that is read of a flat row, beside the model's own columns."""
