"""What is drawn is what was measured: known values are read back from the pictures."""

import dataclasses
import io
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from annotator.bands import BANDS
from annotator.errors import ConfigError
from annotator.models.percentiles import percentile_of
from annotator.preprocess.lightcurve import (
    CHANNELS,
    GRID_DAYS,
    lightcurve_tensor,
    peak,
    usable_detections,
    within_grid,
)
from annotator.reasons.reason import Reason
from annotator.report.expected import (
    EDGE_SIGMA,
    ShownCurve,
    ShownQuantity,
    ShownStamps,
    show,
    show_curve,
    show_quantities,
)
from annotator.report.explain_plot import explain_plot
from annotator.report.like_supernova import expected_magnitudes
from annotator.report.night import PastScore
from annotator.report.pages import draw_curve
from annotator.report.pages.band_styles import BAND_STYLES, FORCED_SIZE
from annotator.report.pages.light_curve_plot import PAGE, LightCurvePlot
from annotator.report.pages.text import (
    describe_curve,
    legend,
    number,
    percentile,
    position,
    score_scale,
    significant,
    stamp_marks,
)
from annotator.report.pages.thumbnails import (
    DEVIATION_RANGE,
    light_curve_thumbnail,
    score_history_svg,
    stamps_png,
    stamps_thumbnail_png,
)
from annotator.transient import LightCurve, Transient
from tests.report.report_nights import make_night, models

PEAK_MJD, PEAK_MAG = 61000.0, 18.0


def shown_curve(expected_mag: float | None = 18.5, **changes) -> ShownCurve:
    """A light curve of four detections, one of them negative, one not used, and two upper limits."""
    curve = LightCurve.of_magnitudes(
        time_mjd=PEAK_MJD + np.array([-10.0, 0.0, 10.0, 20.0]),
        band=np.array(["zg", "zg", "zg", "zr"]),
        magnitude=np.array([19.0, 18.0, 19.0, 20.0]),
        magnitude_error=np.array([0.1, 0.1, 0.1, np.nan]),
        sign=np.array([1, 1, 1, -1]),
        limit_time_mjd=PEAK_MJD + np.array([-11.0, -12.0]),
        limit_band=np.array(["zg", "zr"]),
        limit_magnitude=np.array([20.0, 20.5]),
    )
    expected = None if expected_mag is None else np.full((2, len(GRID_DAYS)), expected_mag)
    shown = ShownCurve(
        curve,
        np.array([True, True, True, False]),
        PEAK_MJD,
        PEAK_MAG,
        expected,
        np.ones((2, len(GRID_DAYS)), dtype=bool),
    )
    return dataclasses.replace(shown, **changes)


@pytest.fixture(scope="module")
def plot() -> LightCurvePlot:
    return LightCurvePlot()


def marks(svg: str, colour: str, face: str) -> list[tuple[float, float]]:
    """Return where a marker of one colour and face is used; the face of a ring is "none"."""
    found = re.findall(r'<use [^>]*x="([-\d.]+)" y="([-\d.]+)" style="([^"]*)"', svg)
    wanted = ("fill-opacity: 0;" if face == "none" else f"fill: {face}", f"stroke: {colour}")
    return [(float(x), float(y)) for x, y, style in found if all(part in style for part in wanted)]


def test_detections_are_drawn_at_their_days_and_magnitudes_brighter_up(plot):
    places = marks(plot.svg(shown_curve(), (), "x"), "var(--band-g)", "var(--band-g)")
    before, at_peak, after = (place for place in places if place[1] < 235)  # above the residuals
    assert before[0] < at_peak[0] < after[0]
    assert at_peak[0] - before[0] == pytest.approx(after[0] - at_peak[0], abs=0.01)
    assert before[1] == pytest.approx(after[1], abs=0.01) and at_peak[1] < before[1] - 20


def test_residuals_are_the_magnitude_less_what_is_expected(plot):
    curve = shown_curve()
    np.testing.assert_allclose(curve.residual_mag(), [0.5, -0.5, 0.5, np.nan])
    places = [place for place in marks(plot.svg(curve, (), "x"), "var(--band-g)", "var(--band-g)") if place[1] > 235]
    heights = [y for _, y in places]
    assert heights[0] == pytest.approx(heights[2]) and heights[1] < heights[0]  # brighter than expected is up
    assert np.isnan(shown_curve(expected_mag=None).residual_mag()).all()


def test_residuals_and_their_errors_are_in_magnitudes_whichever_the_light_curve_is_drawn_in():
    errors = []
    for in_flux in (False, True):
        above, below = Figure().subplots(2)
        draw_curve.draw_curve((above, below), shown_curve(in_flux=in_flux), (), PAGE)
        strokes = [line.get_ydata() for line in below.lines if line.get_color() == PAGE.bands["g"]]
        errors.append([np.round(np.diff(stroke[:2]), 6).tolist() for stroke in strokes if np.isnan(stroke[2])])
    assert errors == [[[0.2]], [[0.2]]]


def test_an_expected_curve_is_compared_at_the_detection_s_own_epoch():
    slope = np.tile(18.0 + 0.01 * GRID_DAYS, (2, 1))
    np.testing.assert_allclose(shown_curve(expected_mag=slope).residual_mag()[:3], [1.1, 0.0, 0.9])


def test_a_detection_fainter_than_the_template_is_hollow_and_one_that_is_not_used_faint(plot):
    svg = plot.svg(shown_curve(), (), "x")
    assert len(marks(svg, "var(--band-r)", "var(--surface)")) == 1
    (style,) = re.findall(r'<use [^>]*style="(fill: var\(--surface\)[^"]*)"', svg)
    assert "opacity: 0.45" in style


def test_upper_limits_are_drawn(plot):
    with_limits = plot.svg(shown_curve(), (), "x")
    nothing = np.empty(0)
    curve = dataclasses.replace(
        shown_curve().light_curve, limit_time_mjd=nothing, limit_band=nothing.astype("<U2"), limit_flux_njy=nothing
    )
    without = plot.svg(shown_curve(light_curve=curve), (), "x")
    assert with_limits.count("<use ") - without.count("<use ") == 2


def test_epochs_that_a_reason_names_are_shaded_and_their_detections_ringed(plot):
    where = {"band": "g", "first_mjd": PEAK_MJD - 1, "last_mjd": PEAK_MJD + 11}
    plain = plot.svg(shown_curve(), (), "x")
    marked = plot.svg(shown_curve(), (Reason("two in g", 0.5, where), Reason("all of it", 0.1, {})), "x")
    assert len(marks(marked, "var(--plot-ink)", "none")) == 2 and not marks(plain, "var(--plot-ink)", "none")
    assert marked.count("opacity: 0.13") == 2 and "opacity: 0.13" not in plain  # above, and in the residuals


def test_days_dates_and_mjd_are_named(plot):
    svg = plot.svg(shown_curve(), (), "x")
    assert ">days from peak<" in svg and ">0<" in svg and ">\N{MINUS SIGN}10<" in svg
    assert ">2025-11-21<" in svg and ">61000<" in svg


def test_a_plot_takes_all_its_colours_from_the_page(plot):
    svg = plot.svg(shown_curve(), (), "x")
    assert not re.findall(r"#[0-9a-f]{6}", re.sub(r'xlink:href="#\w+"|url\(#\w+\)', "", svg))
    assert "<style" not in svg and "font-family" not in svg


def test_a_plot_is_the_same_whatever_was_drawn_before_it_and_its_names_are_unique(plot):
    alone = LightCurvePlot().svg(shown_curve(), (), "x")
    plot.svg(shown_curve(expected_mag=None), (), "other")
    again = plot.svg(shown_curve(), (), "x")
    assert again == alone
    names = re.findall(r' id="([^"]*)"', alone)
    assert len(names) == len(set(names))


def test_a_plot_says_what_it_shows_in_safe_text(plot):
    svg = plot.svg(shown_curve(), (), 'a "curve" <script>')
    assert svg.startswith("<svg ") and 'role="img"' in svg
    assert 'aria-label="a &quot;curve&quot; &lt;script&gt;"' in svg


@pytest.mark.parametrize("kept", [[], [0], [3]])
def test_a_light_curve_of_next_to_nothing_is_drawn(plot, kept):
    whole = shown_curve(expected_mag=None)
    names = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")
    curve = dataclasses.replace(whole.light_curve, **{name: getattr(whole.light_curve, name)[kept] for name in names})
    shown = dataclasses.replace(whole, light_curve=curve, is_used=whole.is_used[kept])
    assert ">days from peak<" in plot.svg(shown, (), "x")
    assert light_curve_thumbnail(shown).count("<path class=") == len(kept)


def places(thumbnail: str, letter: str) -> list[tuple[float, float]]:
    found = re.findall(rf'<path class="{letter}" transform="translate\(([\d.]+) ([\d.]+)\)', thumbnail)
    return [tuple(map(float, pair)) for pair in found]


def test_a_thumbnail_shows_detections_by_band_and_limits():
    thumbnail = light_curve_thumbnail(shown_curve())
    g = places(thumbnail, "g")
    assert len(g) == 3 and len(places(thumbnail, "r")) == 1 and thumbnail.count("<path d=") == 2
    assert g[0][0] < g[1][0] < g[2][0] and g[1][1] < g[0][1] == g[2][1]
    assert 'fill="none"' in re.search(r'<path class="r"[^>]*>', thumbnail).group()


# In six bands, and in flux

LSST_BANDS = [name for name, band in BANDS.items() if name == band.letter]


def rubin_curve(**changes) -> ShownCurve:
    """A detection of each band, each a forced measurement below the template later on, and a limit in z."""
    n = len(LSST_BANDS)
    curve = LightCurve(
        time_mjd=PEAK_MJD + np.concatenate([np.arange(n), 20.0 + np.arange(n)]),
        band=np.array([*LSST_BANDS, *LSST_BANDS]),
        flux_njy=np.concatenate([np.linspace(1000.0, 6000.0, n), np.full(n, -400.0)]),
        flux_error_njy=np.full(2 * n, 200.0),
        is_forced=np.arange(2 * n) >= n,
        limit_time_mjd=PEAK_MJD + np.array([-3.0]),
        limit_band=np.array(["z"]),
        limit_flux_njy=np.array([700.0]),
    )
    return dataclasses.replace(show_curve(Transient("1", "lsst", light_curve=curve), None), **changes)


def test_each_of_six_bands_has_a_colour_and_a_shape_of_its_own(plot):
    svg = plot.svg(rubin_curve(), (), "x")
    for letter in LSST_BANDS:
        assert len(marks(svg, f"var(--band-{letter})", f"var(--band-{letter})")) == 1, letter
        assert len(marks(svg, f"var(--band-{letter})", "var(--surface)")) == 1, letter
    thumbnail = light_curve_thumbnail(rubin_curve())
    shapes = {re.search(rf'class="{letter}"[^>]*d="([^"]*)"', thumbnail).group(1) for letter in LSST_BANDS}
    assert len(shapes) == len({style.marker for style in BAND_STYLES.values()}) == len(BAND_STYLES) == 6
    assert [*BAND_STYLES] == LSST_BANDS


def test_what_has_no_magnitude_is_drawn_in_flux_and_below_the_line_where_it_is_negative(plot):
    svg = plot.svg(rubin_curve(), (), "x")
    assert ">difference flux, nJy<" in svg and ">magnitude<" not in svg and ">\N{MINUS SIGN}1000<" not in svg
    (line,) = re.findall(r'<path d="M0 ([\d.]+)h144"', light_curve_thumbnail(rubin_curve()))
    for letter in LSST_BANDS:
        forced, found = places(light_curve_thumbnail(rubin_curve()), letter)  # what is forced lies beneath
        assert found[1] < float(line) < forced[1] and found[0] < forced[0]


def test_large_fluxes_are_in_microjansky(plot):
    curve = rubin_curve().light_curve
    bright = dataclasses.replace(curve, flux_njy=curve.flux_njy * 100, flux_error_njy=curve.flux_error_njy * 100)
    svg = plot.svg(rubin_curve(light_curve=bright), (), "x")
    assert ">difference flux, \N{MICRO SIGN}Jy<" in svg and ">600<" in svg


def test_a_bad_forced_measurement_does_not_press_the_detections_into_a_line_and_is_counted(plot):
    shown = rubin_curve()
    flux_njy = shown.light_curve.flux_njy.copy()
    flux_njy[-1] = -300_000.0
    bad = dataclasses.replace(shown, light_curve=dataclasses.replace(shown.light_curve, flux_njy=flux_njy))
    plain, svg = (plot.svg(item, (), "x") for item in (shown, bad))
    assert ">1 forced beyond<" in svg and "beyond" not in plain
    for letter in "ugriz":
        assert marks(svg, f"var(--band-{letter})", "var(--") == marks(plain, f"var(--band-{letter})", "var(--")
    assert len(places(light_curve_thumbnail(bad), "y")) == len(places(light_curve_thumbnail(shown), "y")) - 1


def test_positive_and_significant_detections_are_in_magnitudes_for_every_survey(plot):
    curve = rubin_curve().light_curve.detected()
    shown = show_curve(Transient("1", "lsst", light_curve=curve), None)
    assert not shown.in_flux and ">magnitude<" in plot.svg(shown, (), "x")
    assert shown.peak_mag == pytest.approx(31.4 - 2.5 * np.log10(6000.0))
    faint = dataclasses.replace(curve, flux_error_njy=np.full(len(curve), 400.0))
    assert show_curve(Transient("1", "lsst", light_curve=faint), None).in_flux
    assert not show_curve(Transient("1", "ztf", light_curve=curve), None).in_flux


def test_what_is_forced_is_small_and_open_and_said_in_the_legend(plot):
    shown = rubin_curve()
    thumbnail = light_curve_thumbnail(shown)
    assert thumbnail.count(f"scale({FORCED_SIZE:g})") == thumbnail.count('fill="none"') == len(LSST_BANDS)
    assert legend(shown, ()) == {*LSST_BANDS, "forced", "limit"}
    words = describe_curve("1", shown, ())
    assert "1 detections in u; 1 forced measurements in u" in words and "1 upper limits" in words


def test_a_light_curve_of_which_nothing_is_expected_has_the_room_of_the_residuals(plot):
    assert "residual, mag" not in plot.svg(rubin_curve(), (), "x")
    assert "residual, mag" in plot.svg(shown_curve(), (), "x")
    lowest = [
        max(float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"', plot.svg(shown, (), "x")))
        for shown in (rubin_curve(), shown_curve())
    ]
    assert lowest[0] == pytest.approx(lowest[1], abs=0.2)


# Machado, Oliveira and Fernandes (2009): linear RGB as it looks without one kind of cone.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritanopia": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}
XYZ_OF_RGB = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


def lab_of(colour: str, sight: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of an sRGB colour as somebody sees it."""
    rgb = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ_OF_RGB @ np.clip(sight @ linear, 0, 1) / (0.9505, 1.0, 1.089)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_bands_are_told_apart_by_their_colours_with_any_colour_vision(sight):
    css = (Path(draw_curve.__file__).parents[1] / "static" / "style.css").read_text(encoding="utf-8")
    pages = zip(*(re.findall(rf"--band-{letter}: (#\w{{6}});", css) for letter in BAND_STYLES), strict=True)
    for theme in ({style.colour for style in BAND_STYLES.values()}, *map(set, pages)):
        labs = [lab_of(colour, SIGHT[sight]) for colour in theme]
        nearest = min(np.linalg.norm(one - other) for one, other in itertools.combinations(labs, 2))
        assert len(theme) == 6 and nearest > 16  # some seven steps that an eye just tells apart


def shown_stamps() -> ShownStamps:
    seen, deviation = np.zeros((3, 63, 63), dtype=np.float32), np.zeros((3, 63, 63), dtype=np.float32)
    seen[0, 10, 20] = 8.0
    is_present = np.ones((3, 63, 63), dtype=bool)
    is_present[1, 5, 6] = False
    deviation[2, 30, 40], deviation[2, 31, 40] = 2 * DEVIATION_RANGE, -2 * DEVIATION_RANGE
    return ShownStamps(seen, is_present, np.zeros_like(seen), deviation)


def test_stamps_are_drawn_pixel_by_pixel_with_missing_ones_in_a_colour_of_their_own():
    picture = np.rint(255 * imread(io.BytesIO(stamps_png(shown_stamps())))).astype(int)
    assert picture.shape == (3 * 63 + 6, 3 * 63 + 6, 4)
    assert picture[64, 10, 3] == picture[10, 64, 3] == 0  # gaps
    assert picture[10, 20].tolist()[:3] > picture[11, 20].tolist()[:3]
    missing = picture[5, 66 + 6].tolist()
    assert missing == [126, 87, 160, 255]
    assert picture[66 + 5, 66 + 6].tolist() == picture[132 + 5, 66 + 6].tolist() == missing
    assert (picture[..., :3] == missing[:3]).all(axis=2).sum() == 3


def test_deviations_are_red_where_brighter_and_blue_where_fainter_and_dark_where_expected():
    picture = imread(io.BytesIO(stamps_png(shown_stamps())))
    brighter, fainter, as_expected = (picture[132 + row, 132 + 40, :3] for row in (30, 31, 32))
    assert brighter[0] > brighter[2] and fainter[2] > fainter[0] and as_expected.max() < 0.15


def test_a_thumbnail_of_stamps_is_the_first_row():
    whole, first = (imread(io.BytesIO(draw(shown_stamps()))) for draw in (stamps_png, stamps_thumbnail_png))
    np.testing.assert_array_equal(whole[:63], first)
    one_row = dataclasses.replace(shown_stamps(), expected=None, deviation=None)
    np.testing.assert_array_equal(imread(io.BytesIO(stamps_png(one_row))), first)


def test_a_mark_lies_on_the_pixel_that_a_reason_names():
    where = {"stamp": "difference", "row": 31.0, "column": 35.0, "radius": 3.0, "kind": "dipole"}
    (mark,) = stamp_marks([Reason("a dipole", 0.5, where), Reason("no place", 0.2, {"stamp": "science"})])
    assert (mark.x, mark.y) == (2 * 66 + 35.5, 31.5) and mark.radius > 3
    below = stamp_marks([Reason("a dipole", 0.5, where)], n_rows=3)
    assert [(item.x, item.y) for item in below] == [(mark.x, mark.y), (mark.x, mark.y + 2 * 66)]


def past(score: float, scored_at: float = 1.8e9) -> PastScore:
    return PastScore(scored_at, 61000.0, 5, "aha-ztf-1.1", "normal", score, {})


def test_a_history_of_one_score_is_a_point_and_of_more_a_course_with_the_thresholds():
    one = score_history_svg([past(1.0)], 2.0, 3.0)
    assert one.count("<circle") == 1 and "nan" not in one and "watch 2" in one and "anomaly 3" in one
    three = score_history_svg([past(1.0, 1.80e9), past(4.0, 1.81e9), past(2.0, 1.82e9)], 2.0, 3.0)
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', three)]
    assert heights[1] < heights[2] < heights[0]  # 4 above 2 above 1


def test_a_history_of_nothing_but_zeros_is_drawn_where_the_thresholds_are_0_too():
    drawn = score_history_svg([past(0.0, 1.80e9), past(0.0, 1.81e9)], 0.0, 0.0)
    heights = {float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)}
    assert len(heights) == 1 and "nan" not in drawn and "watch 0" in drawn


def test_a_strip_s_middle_is_the_median_and_its_ends_are_the_last_percentiles_kept():
    def place(value: float) -> float:
        return ShownQuantity("x", "x", 1.0, "mag", 0.0, 2.0, value, False, False).place

    assert place(50.0) == pytest.approx(0.5) and place(99.8) == pytest.approx(1.0) and place(0.2) == pytest.approx(0.0)
    assert place(84.1345) == pytest.approx(0.5 + 0.5 / EDGE_SIGMA, abs=1e-4)


def test_quantities_that_reasons_name_come_first_then_the_most_unusual_each_once():
    item = next(item for item in make_night(12).candidates if item.transient)
    named = ["rate_g", "colour_now", "amplitude_r"]
    model = models().models["features"]
    shown, lacks = show_quantities(item.transient, model, named)
    names = [row.name for row in shown]
    assert names[: len(named)] == named and len(names) == len(set(names)) > 10
    assert [row.is_reason for row in shown] == [True] * len(named) + [False] * (len(shown) - len(named))
    by_column, _ = show_quantities(item.transient, model, ["dmdt_g", "g_minus_r", "amplitude_r", "rate_g"])
    assert [row.name for row in by_column] == names  # a feature is shown as the quantity that says the same
    rest = [(not row.is_beyond, -abs(row.percentile - 50)) for row in shown[len(named) :]]
    assert rest == sorted(rest)
    known = {normals.name: normals for normals in model.manifest.percentiles}
    assert all(row.percentile == percentile_of(known[row.name], row.value) for row in shown)
    assert not {row.meaning for row in shown} & set(lacks)


def test_what_is_shown_beside_a_light_curve_is_a_supernova_and_where_the_model_is_given_detections():
    item = next(item for item in make_night(12).candidates if item.transient and item.transient.light_curve)
    curve = show(item, models()).curve
    used = usable_detections(item.transient.light_curve)
    np.testing.assert_array_equal(curve.expected_mag, expected_magnitudes(used.where(within_grid(used)), peak(used)))
    tensor = lightcurve_tensor(item.transient.light_curve)
    np.testing.assert_array_equal(curve.is_supported, tensor[CHANNELS.index("support")] > 0)
    assert show(dataclasses.replace(item, transient=None), models()).curve is None
    assert show(dataclasses.replace(item, transient=Transient("ZTF99aaaaaaa", "ztf")), models()).stamps is None


def test_an_object_that_one_figure_explains(tmp_path):
    for item in make_night(12).candidates[:2]:
        explain_plot(item, models(), tmp_path / "explained.png")
        picture = imread(tmp_path / "explained.png")
        assert picture.shape[:2] == (1140, 1950)
        assert np.unique(picture[..., :3].reshape(-1, 3), axis=0).shape[0] > 200
    gone = dataclasses.replace(make_night(12).candidates[0], transient=None, explanation="$x_1 costs $5")
    explain_plot(gone, models(), tmp_path / "gone.png")
    assert imread(tmp_path / "gone.png").shape[:2] == (1140, 1950)


def test_a_figure_in_a_format_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        explain_plot(make_night(12).candidates[0], models(), tmp_path / "explained.xyz")


def test_numbers_are_written_as_people_read_them():
    assert number(-1.234) == "\N{MINUS SIGN}1.23" and number(None) == "–"
    assert [significant(value) for value in (0.0, 1234.5, 20.04, -0.01234, 1e-9)] == [
        "0", "1234", "20.0", "\N{MINUS SIGN}0.0123", "1.00e\N{MINUS SIGN}09",
    ]  # fmt: skip
    assert percentile(99.8, True) == "> 99.8" and percentile(0.2, True) == "< 0.2" and percentile(50.2, False) == "50"
    assert position(180.0, -0.5) == "12 00 00.00 \N{MINUS SIGN}00 30 00.0"
    assert position(359.9999999, 89.99999999) == "00 00 00.00 +90 00 00.0"
    assert score_scale(make_night(12)) == 4.0
