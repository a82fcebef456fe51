import numpy as np

from annotator.models.load import reference_transient
from annotator.models.manifest import Manifest
from annotator.models.observed import of_features, of_light_curve, of_stamps
from annotator.preprocess.features import feature_row
from annotator.preprocess.lightcurve import Detections
from annotator.preprocess.triplet import CENTRE, SIDE
from annotator.surveys.ztf.columns import FEATURE_NAMES, FEATURES


def test_a_feature_is_its_value_or_none_where_it_is_missing():
    observed = of_features(FEATURES, feature_row(FEATURES, {"gmag": 18.5, "rmag": 18.25, "dmdt_g": -0.5}))
    assert list(observed) == list(FEATURE_NAMES)
    assert {name: value for name, value in observed.items() if value is not None} == {
        "gmag": 18.5,
        "rmag": 18.25,
        "dmdt_g": -0.5,
    }


def test_a_light_curve_is_summed_up_in_four_numbers():
    curve = Detections(
        np.array([1.0, 2.5, 9.0]), np.array([0, 1, 0]), np.array([19.0, 18.5, 20.0]), np.array([0.1, 0.05, 0.3])
    )
    assert of_light_curve(curve) == {
        "lightcurve_detections": 3.0,
        "lightcurve_days": 8.0,
        "lightcurve_peak_mag": 18.5,
        "lightcurve_error_mag": 0.1,
    }


def test_of_stamps_it_is_the_object_that_peaks_and_pixels_of_all_three_that_are_missing():
    tensor = np.zeros((6, SIDE, SIDE), dtype=np.float32)
    tensor[3:] = 1
    tensor[2, 0, 0], tensor[0, CENTRE, CENTRE], tensor[2, CENTRE + 2, CENTRE - 1] = 8.0, 7.0, 2.5
    tensor[4, :21] = 0
    (observed,) = of_stamps(tensor[np.newaxis])
    assert observed["triplet_peak"] == 2.5 and np.isclose(observed["triplet_missing_share"], 1 / 9)


def test_every_modality_gives_its_numbers_with_its_score_under_names_of_its_own(all_models):
    names: list[str] = []
    for modality, model in all_models.models.items():
        manifest: Manifest = model.manifest
        found = model.score(reference_transient(manifest.references[0].record, manifest.survey))
        assert found.observed[f"{modality}_score"] == found.score
        assert found.observed[f"{modality}_error"] == found.error
        if modality != "features":
            assert all(name.startswith(f"{modality}_") for name in found.observed)
        names += found.observed
    assert len(set(names)) == len(names) == len(FEATURE_NAMES) + 4 + 2 + 3 * 2 + 1  # the prior
