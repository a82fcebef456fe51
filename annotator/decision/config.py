"""What a decision needs of the configuration."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta

from annotator.typed import Typed

Score = Annotated[float, Meta(ge=0, le=20)]


class DecisionConfig(Typed):
    """From scores to a classification."""

    anomaly_score: Score = 3.0
    watch_score: Score = 2.0
    anomalies_per_night: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """About so many: a night's thresholds are those at which the thirty nights before had as many; None: no budget."""
    watch_per_night: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """The same of objects to watch."""
    artefact_detections: Annotated[int, Meta(ge=1, le=1000)] = 2
    """From this many detections on, an object none of which is positive and passes real-bogus is an artefact."""
    artefact_reliability: Annotated[float, Meta(ge=0, le=1)] = 0.75
    """Of Rubin: an object none of whose detections reaches this reliability is an artefact,"""
    artefact_doubtful_detections: Annotated[int, Meta(ge=1, le=1000)] = 3
    """where it has so many: of a simulated night's supernovae 0.1 % are, of its SLSN and TDE none of 95; of 45 real
    alerts of asteroids none is below 0.89."""
    artefact_probability: Annotated[float, Meta(ge=0, le=1)] = 0.7
    """From this probability of a bogus detection on, an object that nothing vouches for is an artefact."""
    variable: bool = True
    """Whether what is known to vary is `variable`, unless it does what it never did before."""
    variable_seasons: Annotated[int, Meta(ge=0, le=50)] = 2
    """More earlier seasons of positive detections than this make a variable source."""
    variable_years: Annotated[float, Meta(ge=0, le=100)] = 3.0
    """Where no seasons tell: a place that was first alerted at so long ago,"""
    variable_detections: Annotated[int, Meta(ge=1, le=1_000_000)] = 300
    """and where so much was detected since, has a variable source."""
    variable_row_years: Annotated[float, Meta(ge=0, le=100)] = 1.0
    """Where the record does not go back at all, a place that was first alerted at so long ago has one. In the databank
    from 2022 on such are 83 % of AGN, 9 % of SLSN and TDE, and 4 % of supernovae."""
    variable_alternations: Annotated[int, Meta(ge=1, le=1_000)] = 3
    """Of Rubin: a source that went so often from above its template to below it or back, in one band, varies. Of
    PLAsTiCC's simulated transients none in 10,000 did twice, of its AGN 14 % three times."""
    variable_scatter: Annotated[float, Meta(ge=1, le=1_000)] = 7.4
    """Of Rubin: so has one that scatters so many times as much as its errors say about any smooth course: 0.7 % of
    PLAsTiCC's bright supernovae, 0.1 % of those as faint as a survey's, one in 660 SLSN and TDE."""
    variable_activity: Annotated[float, Meta(gt=0, le=1_000)] = 0.5
    """Of Rubin: so has one that was so many times as bright as at its peak a hundred days or more before: 69 % of
    PLAsTiCC's AGN over all they were seen, 2.9 % of SLSN, 0.4 % of TDE, 0.1 % of supernovae."""
    variable_star_score: Annotated[float, Meta(gt=0, le=1)] = 0.76
    """From this score on the nearest catalogued source is star-like; the value that ZTF's Bright Transient Survey
    leaves stars out by (Perley et al. 2020)."""
    exotic_probability: Annotated[float, Meta(gt=0, le=1)] | None = None
    """`anomaly` also from this probability of being exotic on; None: where half of such known objects are."""
    announce_margin: Score = 0.5
    """By how much an announced anomaly's score has to rise before it is announced again."""
    classified: Literal["state", "demote"] = "demote"
    """What an object's class in TNS does: it is stated, or makes `watch` of `anomaly` besides."""

    @property
    def has_budget(self) -> bool:
        """Whether flags are to be about so many a night."""
        return self.anomalies_per_night is not None or self.watch_per_night is not None

    def __post_init__(self) -> None:
        if self.watch_score > self.anomaly_score:
            raise ValueError(
                f"watch_score ({self.watch_score:g}) must not exceed anomaly_score ({self.anomaly_score:g})"
            )


CASES = ("exotic", "odd", "young", "nuclear")
"""Science cases that a person may ask for, in the order of a profile."""

PROFILES: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "balanced": (1.0, 1.0, 1.0, 1.0),
        "superluminous": (3.0, 0.5, 1.0, 0.0),
        "tidal_disruptions": (3.0, 0.5, 1.0, 3.0),
        "early": (1.0, 1.0, 4.0, 1.0),
        "unheard_of": (0.0, 4.0, 1.0, 0.0),
    }
)
"""How often each case is asked for, by the profile's name; once is as fitted."""

Times = Annotated[float, Meta(ge=0, le=10)]


class WorthConfig(Typed):
    """What a person wants to see first."""

    profile: Literal[tuple(PROFILES)] = "balanced"
    exotic: Times | None = None
    odd: Times | None = None
    young: Times | None = None
    nuclear: Times | None = None

    def times(self, case: str) -> float:
        """Return how often one of :data:`CASES` is asked for: the key of its name, or else the profile says it."""
        own = getattr(self, case)
        return PROFILES[self.profile][CASES.index(case)] if own is None else own
