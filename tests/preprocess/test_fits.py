import gzip
import io
import warnings
import zlib

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.errors import MissingModalityError
from annotator.preprocess.fits import MAX_BYTES, MAX_SIDE, read_stamp
from annotator.sandbox.sky.stamps import to_fits
from tests.conftest import examples

STAMP = np.random.default_rng(3).normal(150, 12, (63, 61)).astype(np.float32)
STAMP[5, 7] = np.nan
PLAIN = to_fits(STAMP, "Science")


def written(*parts):
    buffer = io.BytesIO()
    fits.HDUList(list(parts)).writeto(buffer)
    return buffer.getvalue()


def astropy_image(content):
    """Read by astropy alone; alerts of some brokers have a header that it warns of."""
    with warnings.catch_warnings(action="ignore"), fits.open(io.BytesIO(content), memmap=False) as file:
        return next(part.data for part in file if part.data is not None)


def refused(content, *words):
    with pytest.raises(MissingModalityError) as caught:
        read_stamp(content)
    for word in words:
        assert word in str(caught.value)


def stamp_or_reason(content):
    try:
        return read_stamp(content)
    except MissingModalityError as reason:
        return str(reason)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_stamp_reads_as_astropy_reads_it(dtype, pack):
    pixels = np.nan_to_num(STAMP).astype(dtype)
    content = written(fits.PrimaryHDU(pixels))
    found = read_stamp(pack(content))
    assert (found.dtype, found.shape) == (np.float32, (63, 61))
    np.testing.assert_array_equal(found, astropy_image(content).astype(np.float32))


def test_missing_pixels_stay_missing_and_rows_and_columns_keep_their_places():
    found = read_stamp(PLAIN)
    np.testing.assert_array_equal(found, STAMP)
    assert np.argwhere(np.isnan(found)).tolist() == [[5, 7]]


def test_files_that_are_not_plain_are_read_too():
    image = np.round(np.nan_to_num(STAMP)).astype("i4")
    scaled = fits.PrimaryHDU(image.astype("f4"))
    scaled.scale("int16", bscale=0.5, bzero=100)
    extension = written(fits.PrimaryHDU(), fits.ImageHDU(STAMP))
    compressed = written(fits.PrimaryHDU(), fits.CompImageHDU(image))
    for content in (written(scaled), extension, compressed):
        np.testing.assert_allclose(read_stamp(content), astropy_image(content).astype(np.float32), rtol=1e-6)


def test_blank_integers_are_missing_pixels():
    part = fits.PrimaryHDU(np.arange(12, dtype="i2").reshape(3, 4))
    part.header["BLANK"] = 5
    found = read_stamp(written(part))
    assert np.isnan(found[1, 1]) and np.isfinite(found).sum() == 11


def test_numbers_beyond_single_precision_do_not_pass_for_flux():
    found = read_stamp(written(fits.PrimaryHDU(np.full((3, 3), 1e300))))
    assert np.isinf(found).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", ("empty",), id="empty"),
        pytest.param(b"None", ("expected a FITS file", "None"), id="None"),
        pytest.param(b"<!DOCTYPE html><html>", ("expected a FITS file", "DOCTYPE"), id="web page"),
        pytest.param(b"\x89PNG\r\n\x1a\n", ("expected a FITS file",), id="picture"),
        pytest.param(b"SIMPLE  =", ("FITS",), id="broken off in a card"),
        pytest.param(PLAIN[:2000], ("truncated", "15372", "found 0"), id="broken off after the header"),
        pytest.param(PLAIN[:300], ("FITS",), id="broken off in the header"),
        pytest.param(PLAIN[:4000], ("truncated", "15372", "1120"), id="broken off in the pixels"),
        pytest.param(gzip.compress(PLAIN)[:-300], ("truncated", "gzip"), id="broken off gzip"),
        pytest.param(b"\x1f\x8b" + bytes(40), ("gzip",), id="no gzip"),
        pytest.param(gzip.compress(b"None"), ("expected a FITS file",), id="packed None"),
        pytest.param(
            gzip.compress(bytes(30 * MAX_BYTES)),
            (f"more than {MAX_BYTES} bytes", "unpacked"),
            id="packed zeros that unpack to much",
        ),
        pytest.param(PLAIN + bytes(MAX_BYTES), (f"more than {MAX_BYTES} bytes",), id="too many bytes"),
        pytest.param(
            PLAIN.replace(b"NAXIS1  =                   61", b"NAXIS1  =             99999999"),
            (f"{MAX_SIDE} pixels",),
            id="too wide",
        ),
        pytest.param(
            PLAIN.replace(b"NAXIS1  =                   61", b"NAXIS1  =                   -1"),
            ("shape",),
            id="negative width",
        ),
        pytest.param(written(fits.PrimaryHDU()), ("found none",), id="no image"),
        pytest.param(written(fits.PrimaryHDU(np.zeros((2, 3, 4), "f4"))), ("shape",), id="three axes"),
        pytest.param(
            written(fits.PrimaryHDU(), fits.ImageHDU(np.zeros((MAX_SIDE + 1, 2), "f4"))),
            (f"{MAX_SIDE} pixels",),
            id="too high",
        ),
    ],
)
def test_what_is_no_stamp_is_refused_with_the_reason(content, words):
    refused(content, *words)


def test_a_small_file_that_promises_much_is_refused_before_it_is_made():
    """Astropy would set 8 GB aside; the header alone decides."""
    header = fits.PrimaryHDU(np.zeros((2, 2), "f4")).header
    header["NAXIS1"], header["NAXIS2"], header["BSCALE"] = 30_000, 70_000, 2.0
    refused(header.tostring().encode(), f"{MAX_SIDE} pixels")


@given(st.binary(max_size=300))
@settings(max_examples=examples(150))
def test_no_bytes_break_the_reader(content):
    for start in (b"", b"SIMPLE  =", b"\x1f\x8b\x08", PLAIN[:2880]):
        found = stamp_or_reason(start + content)
        assert found if isinstance(found, str) else found.ndim == 2


@given(
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, len(PLAIN))
)
@settings(max_examples=examples(200))
def test_a_damaged_file_is_a_stamp_or_a_reason(changes, length):
    content = bytearray(PLAIN)
    for place, value in changes:
        content[place] = value
    for damaged in (bytes(content), bytes(content[:length])):
        found = stamp_or_reason(damaged)
        assert found if isinstance(found, str) else found.dtype == np.float32 and max(found.shape) <= MAX_SIDE


def test_stamps_of_recorded_alerts_read_as_by_astropy(shared):
    found = 0
    for path in sorted((shared / "fixtures" / "alerts").glob("*ztf*")):
        content = path.read_bytes()
        start = content.find(b"\x1f\x8b\x08")
        while start >= 0 and found < 60:
            packed = content[start : start + 60_000]
            try:
                stamp = read_stamp(gzip.compress(_member(packed)))
            except (OSError, EOFError):
                pass
            else:
                np.testing.assert_array_equal(stamp, astropy_image(_member(packed)))
                found += 1
            start = content.find(b"\x1f\x8b\x08", start + 3)
    assert found >= 6


def _member(packed):
    """Unpack the gzip member at the start of some bytes."""
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(packed)
    except zlib.error as failure:
        raise OSError from failure
    if not unpacker.eof or not plain.startswith(b"SIMPLE"):
        raise EOFError
    return plain


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda whole: gzip.compress(whole[:3000]) + gzip.compress(whole[3000:]), id="two members"),
        pytest.param(
            lambda whole: b"".join(gzip.compress(whole[at : at + 500]) for at in range(0, len(whole), 500)),
            id="many members",
        ),
        pytest.param(lambda whole: gzip.compress(b"") + gzip.compress(whole), id="an empty member first"),
        pytest.param(lambda whole: gzip.compress(whole) + bytes(512), id="zeros behind it"),
        pytest.param(lambda whole: gzip.compress(gzip.compress(whole)), id="packed twice"),
        pytest.param(lambda whole: gzip.compress(whole) + b"--boundary\r\n", id="other bytes behind it"),
        pytest.param(
            lambda whole: gzip.compress(whole[:999]) + bytes(7) + gzip.compress(whole[999:]), id="zeros between"
        ),
        pytest.param(lambda whole: _named(whole), id="a header with a name, a comment and a checksum"),
    ],
)
def test_whatever_gzip_allows_is_unpacked(pack):
    np.testing.assert_array_equal(read_stamp(pack(PLAIN)), STAMP)


def _named(whole):
    """Write a member with all of the optional fields of RFC 1952."""
    packed = gzip.compress(whole)
    header = packed[:3] + bytes([2 + 4 + 8 + 16]) + packed[4:10] + b"\x03\x00abc" + b"stamp.fits\0" + b"a comment\0"
    return header + (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") + packed[10:]


def test_members_that_unpack_to_much_are_refused_together():
    member = gzip.compress(bytes(MAX_BYTES // 3))
    refused(member * 4, f"more than {MAX_BYTES} bytes", "unpacked")
    assert stamp_or_reason(gzip.compress(b"x") * 50_000)  # and many that hold nothing take no time


def test_a_second_member_that_breaks_off_or_is_damaged_is_what_the_reason_says():
    packed = gzip.compress(PLAIN[:3000]) + gzip.compress(PLAIN[3000:])
    refused(packed[:-40], "truncated", "gzip does not end")
    refused(packed[:-6] + bytes(6), "gzip is damaged")


def test_an_image_with_axes_of_one_pixel_in_front_is_an_image():
    np.testing.assert_array_equal(read_stamp(written(fits.PrimaryHDU(STAMP[np.newaxis, np.newaxis]))), STAMP)


def test_a_header_that_does_not_end_is_said_to_be_that():
    refused(PLAIN[:240], "FITS cannot be read", "header does not end")
