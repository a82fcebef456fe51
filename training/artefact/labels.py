"""Which detections are called bogus, and which real, to learn from.

ZTF's real-bogus scores say so, where they are clear, and people's verdicts. The scores are label and input: so
everything claimed is measured with the scores hidden, and a number with the scores shown is called circular.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.decision.classify import VOUCHING_DRB
from annotator.errors import ConfigError
from annotator.surveys.ztf.record import ZTF
from annotator.surveys.ztf.tables import DETECTION
from training.data.stamps import MIN_RB, StampTable

RB, DRB = REAL_BOGUS = ZTF.real_bogus
"""The random forest's score, and the neural network's, the deep one, which counts before the other."""
MAX_BOGUS_DRB, MIN_REAL_DRB = 0.5, VOUCHING_DRB
"""The deep score has 2 % of either kind on the wrong side of 0.5 (Duev et al. 2019); real is called only what is
clear."""
MAX_BOGUS_RB = 0.4
"""Where there is no deep score. Between this and 0.65 as many lie on a known asteroid as anywhere: the score says
nothing there."""
MAX_ASTEROID_ARCSEC = 5.0
VERDICT_WEIGHT = 5.0
"""Of a person's verdict on a stamp, beside 1 of a label that the real-bogus scores give."""
VERDICTS: Mapping[str, bool] = {"artefact": True, "regular": False, "anomaly": False}
"""What a verdict says: is it bogus?"""


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of stamps, each ``(n,)``."""

    is_bogus: NDArray[np.bool_]
    is_real: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """The rest, the unclear middle, neither trains nor measures."""
        return self.is_bogus | self.is_real


def artefact_labels(table: StampTable, verdicts: Mapping[str, str] | None = None) -> Labels:
    """Call stamps bogus or real where that is clear.

    Bogus: a deep score below 0.5, or, where there is none, a random forest's below 0.4; and the object has no class,
    and no known asteroid is within 5 arcseconds. Real: a deep score of 0.9 or more, or without it a random forest's of
    0.65 or more, or a class, or an asteroid, and not low by the rule above. A person's verdict on the object decides
    before all of them.

    Parameters
    ----------
    table
        Stamps with both scores, source_label and, where the table has it, the separation of a known asteroid.
    verdicts
        Object id to ``artefact``, ``regular`` or ``anomaly``.

    Raises
    ------
    ConfigError
        If a verdict is none of these.
    """
    verdicts = verdicts or {}
    if unknown := sorted(set(verdicts.values()) - set(VERDICTS)):
        raise ConfigError(f"expected verdicts among {', '.join(VERDICTS)}, found {', '.join(unknown)}; correct them")
    forest, deep, asteroid_arcsec = (table.numbers(name) for name in (RB, DRB, DETECTION.asteroid_separation))
    has_deep = np.isfinite(deep)
    is_low = np.where(has_deep, deep < MAX_BOGUS_DRB, forest < MAX_BOGUS_RB)
    is_high = np.where(has_deep, deep >= MIN_REAL_DRB, forest >= MIN_RB)
    is_vouched = (table.column("source_label") != "") | (
        (asteroid_arcsec >= 0) & (asteroid_arcsec <= MAX_ASTEROID_ARCSEC)
    )
    is_bogus, is_real = is_low & ~is_vouched, (is_high | is_vouched) & ~is_low
    weights = np.ones(len(table.rows))
    for place, object_id in enumerate(table.object_ids.tolist()):
        if object_id in verdicts and table.is_pick[place]:
            is_bogus[place] = VERDICTS[verdicts[object_id]]
            is_real[place] = not is_bogus[place]
            weights[place] = VERDICT_WEIGHT
    return Labels(is_bogus, is_real, weights)
