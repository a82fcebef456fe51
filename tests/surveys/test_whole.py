"""Rows that were computed of detections in reversed order: told by their columns, and not believed where wrong."""

import csv
import dataclasses
import random

import numpy as np
import pytest

from annotator.passes.scoring.enrich import _joined
from annotator.preprocess.quantities import quantities
from annotator.surveys.ztf import parse as ztf
from annotator.surveys.ztf.columns import FEATURES, NOT_WHOLE, OF_ORDER, Detection, is_whole, lasair_columns
from annotator.surveys.ztf.parse import parse
from annotator.surveys.ztf.record import ZTF
from training.data.table import RECENT_JD, read_table

JD = 2460000.5
OF_NO_ORDER = {"maggmin", "maggmax", "maggmean", "magrmin", "magrmax"}
HOST = {"distpsnr1": 1.0, "sgmag1": 19.0, "srmag1": 18.5, "separationArcsec": 2.0, "major_axis_arcsec": 8.0}


def curve(seed=0, n=14, span_days=28.0):
    """g and r in turn, two of a night, fading."""
    rng = random.Random(seed)
    return [
        Detection(
            JD + 0.2 + span_days * (place // 2) / (n // 2 - 1) + 0.02 * (place % 2),
            place % 2 == 0,
            18.0 + 0.05 * place + rng.gauss(0, 0.02),
            0.05,
        )
        for place in range(n)
    ]


def computed_newest_first(detections):
    """What Lasair's rules give when the newest detection comes first, of which these columns are made."""
    mirrored = [item._replace(jd=-item.jd) for item in detections]
    backwards = {
        name: value
        for name, value in lasair_columns(mirrored).items()
        if name not in ("jdmin", "jdmax", "jd_g_minus_r")
    }
    for name in ("dmdt_g", "dmdt_g_err", "dmdt_r", "dmdt_r_err"):  # each step in time is negative
        backwards[name] = None if backwards[name] is None else -backwards[name]
    columns = lasair_columns(detections)
    colour_jd = min(item.jd for item in detections if item.is_g)
    return columns | backwards | {"jd_g_minus_r": colour_jd}


def record_of(columns):
    return {"objectId": "ZTF23aaaaaaa", **HOST, "classification": "SN", **columns}


@pytest.mark.parametrize("seed", range(5))
def test_a_row_in_the_order_of_time_is_whole_and_one_computed_newest_first_is_not(seed):
    detections = curve(seed)
    assert is_whole(lasair_columns(detections))
    assert not is_whole(computed_newest_first(detections))


@pytest.mark.parametrize("error", [-0.02, "-0.02", -3])
@pytest.mark.parametrize("name", ["dmdt_g_err", "dmdt_r_err"])
def test_one_negative_error_of_a_rate_tells(name, error):
    assert not is_whole(lasair_columns(curve()) | {name: error})


@pytest.mark.parametrize("absent", [None, "", "NaN", -999, -999.0, "-999.0", -99.0, float("nan"), 0, 0.02, [1], {}])
def test_an_error_that_is_unknown_or_positive_tells_nothing(absent):
    assert is_whole(lasair_columns(curve()) | {"dmdt_g_err": absent})
    assert is_whole({"objectId": "a", "dmdt_g_err": absent})


def test_a_last_colour_older_than_a_packet_s_history_tells_without_any_rate():
    columns = lasair_columns(curve()) | dict.fromkeys(("dmdt_g", "dmdt_g_err", "dmdt_r", "dmdt_r_err"))
    assert is_whole(columns)
    last_jd = columns["jdmax"]
    assert is_whole(columns | {"jd_g_minus_r": last_jd - 30.0})
    old = columns | {"jd_g_minus_r": last_jd - 30.1}
    assert not is_whole(old)
    without_date = {name: value for name, value in old.items() if name != "jdmax"}
    assert is_whole(without_date)


def test_a_date_ahead_of_now_tells_nothing():
    ahead = lasair_columns(curve()) | {"jdmax": JD + 4000}
    assert is_whole(ahead, latest_jd=JD + 60) and not is_whole(ahead)
    found = parse(record_of(ahead), latest_mjd=JD + 60 - 2400000.5)
    assert found.not_whole == "" and "jdmax" in found.dates_ahead


def test_what_depends_on_order_is_unknown_of_such_a_row_and_all_else_stays():
    right = parse(record_of(lasair_columns(curve())))
    found = parse(record_of(computed_newest_first(curve())))
    assert found.features.keys() == {*OF_NO_ORDER, *HOST}
    assert all(found.features[name] == right.features[name] for name in found.features)
    assert "age_days" not in found.extras and "age_days" in right.extras
    assert (found.n_det, found.last_mjd, found.sherlock_class) == (right.n_det, right.last_mjd, "SN")
    assert found.not_whole == NOT_WHOLE and found.left_out == (NOT_WHOLE,)
    assert right.not_whole == "" and right.left_out == ()
    gone = set(quantities(FEATURES, right)) - set(quantities(FEATURES, found))
    assert gone == {
        *("colour_now", "colour_change", "colour_28", "colour_08", "age"),
        *(f"{name}_{band}" for band in "gr" for name in ("fade", "trend_02", "trend_08", "trend_28", "rate", "now")),
    }


@pytest.mark.parametrize("name", sorted(OF_ORDER - {"dmdt_g_err", "dmdt_r_err"}))
def test_no_value_that_depends_on_order_changes_what_is_read_of_such_a_row(name):
    row = record_of(computed_newest_first(curve()))
    assert vars(parse(row)) == vars(parse(row | {name: (row[name] or 0.0) + 0.01}))


def test_with_its_detections_the_columns_are_computed_from_them():
    candidates = [
        {"candid": place, "jd": d.jd, "fid": 1 if d.is_g else 2, "magpsf": d.magnitude, "sigmapsf": 0.05}
        | {"isdiffpos": "t", "rb": 0.9}
        for place, d in enumerate(curve(), start=1)
    ]
    right, wrong = (record_of(columns(curve())) | {"candidates": candidates} for columns in COLUMNS)
    expected, found = parse(right), parse(wrong)
    assert found.features == pytest.approx(dict(expected.features)) and found.extras == pytest.approx(expected.extras)
    assert found.not_whole == "" and found.left_out == ()
    # And so they are where the detections come later, from Lasair's answer.
    row = parse(record_of(computed_newest_first(curve())))
    joined = _joined(row, parse({"objectId": row.object_id, "candidates": candidates}), ZTF)
    assert joined.features == pytest.approx(dict(expected.features)) and joined.extras == pytest.approx(expected.extras)
    assert joined.not_whole == "" and joined.left_out == ()
    nothing = parse({"objectId": row.object_id, "candidates": []})
    assert _joined(row, nothing, ZTF).features == row.features


COLUMNS = (lasair_columns, computed_newest_first)


def test_a_whole_row_is_read_as_before_where_its_detections_are_there_too():
    row = record_of(lasair_columns(curve()) | {"gmag": 17.5})
    assert ztf.parse(row | {"candidates": []}).features["gmag"] == 17.5
    assert dataclasses.asdict(parse(row))["not_whole"] == ""


# Training


def write_table(path, columns):
    rows = [
        {"tns_name": f"2023{n:03d}", "source_label": "SN Ia"}
        | record_of(columns(curve(n)))
        | {"objectId": f"ZTF23aaaa{n:03d}"}
        for n in range(4)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_training_leaves_such_rows_out_and_takes_those_whose_light_curve_is_there(tmp_path):
    import pandas

    whole = read_table(write_table(tmp_path / "whole.csv", lasair_columns), "ztf")
    assert (len(whole.rows), whole.n_not_whole, whole.n_from_curves) == (4, 0, 0)
    mixed = tmp_path / "mixed.csv"
    good, bad = write_table(tmp_path / "g.csv", lasair_columns), write_table(tmp_path / "b.csv", computed_newest_first)
    lines = good.read_text().splitlines(), bad.read_text().splitlines()
    mixed.write_text("\n".join([*lines[0][:3], *lines[1][3:]]) + "\n")
    left = read_table(mixed, "ztf")
    assert left.object_ids.tolist() == whole.object_ids[:2].tolist() and left.n_not_whole == 2
    rows = [
        {"objectId": f"ZTF23aaaa{n:03d}", "jd": d.jd, "fid": 1 if d.is_g else 2, "magpsf": d.magnitude}
        | {"sigmapsf": d.magnitude_error, "isdiffpos": "t"}
        for n in (0, 3)
        for d in curve(n)
    ]
    pandas.DataFrame(rows).to_parquet(tmp_path / "curves.parquet")
    made = read_table(mixed, "ztf", tmp_path / "curves.parquet")
    assert made.object_ids.tolist() == whole.object_ids[[0, 1, 3]].tolist()
    assert (made.n_not_whole, made.n_from_curves) == (1, 1)
    assert made.features == pytest.approx(whole.features[[0, 1, 3]], abs=1e-5)
    part = made.subset(np.array([2]))
    assert part.object_ids.tolist() == ["ZTF23aaaa003"] and part.n_not_whole == 1


def test_of_the_databank_708_rows_are_not_whole_and_none_from_2022_on(shared):
    with (shared / "data" / "object_features.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    is_recent = [float(row["jdmin"]) >= RECENT_JD for row in rows]
    found = [not is_whole(row) for row in rows]
    assert (len(rows), sum(found), sum(is_recent)) == (4358, 708, 3642)
    assert not any(wrong and recent for wrong, recent in zip(found, is_recent, strict=True))
    table = read_table(shared / "data" / "object_features.csv", "ztf")
    assert (len(table.rows), table.n_not_whole, table.is_recent.sum()) == (3650, 708, 3642)
