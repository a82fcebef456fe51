import pytest

from annotator.annotation import safe_text
from annotator.reasons.features import WORDS
from annotator.surveys.ztf.parse import parse
from tests.benchmarks.known_causes import feature_reasons


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("amplitude_g", 0.024, "range of g 0.02 mag"),
        ("colour_now", -0.03, "g-r -0.03 mag on the latest night with both bands"),
        ("colour_now", -0.001, "g-r 0.00 mag on the latest night with both bands"),
        ("trend_28_r", -0.038, "r 0.04 mag brighter than its 28-day mean"),
        ("rate_r", 0.04, "r brightened 0.04 mag/day"),
        ("rate_r", 1.23, "r brightened 1.2 mag/day"),
        ("tail", -0.008, "rose by 0.008 mag/day from 45 days after its peak"),
        ("rise", -0.02, "fell by 0.020 mag/day before its peak"),
        ("colour", -0.5, "0.5 mag redder over an e-fold of wavelength at its peak"),
        ("fall", -0.0002, "kept its brightness after its peak"),
        ("colour_drift", 0.073, "got bluer by 0.073 mag/day over an e-fold of wavelength"),
        ("colour_drift", -0.11, "got redder by 0.110 mag/day over an e-fold of wavelength"),
        ("activity_before", 0.02, "activity at 1.05 of its peak flux 100 days or more before its peak"),
        ("activity_before", -2.0, "no activity 100 days or more before its peak"),
        ("fade_r", 0.06, "r faded 0.06 mag since its peak"),
    ],
)
def test_a_number_below_a_tenth_is_not_rounded_to_nothing(name, value, words):
    assert WORDS[name](value) == words


@pytest.mark.parametrize("name", WORDS)
def test_the_words_of_every_quantity_reach_lasair_as_they_are(name):
    for value in (-1.5, 0.02, 0.7):
        assert safe_text(WORDS[name](value)) == WORDS[name](value)


def test_nothing_that_is_named_in_simulated_rows_is_0_0_of_anything(night, all_models):
    found = [reason for row in night.rows() for reason in feature_reasons(parse(row), all_models)]
    assert len(found) >= 100
    assert not [reason.words for reason in found if " 0.0 " in reason.words]
