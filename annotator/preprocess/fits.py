"""FITS bytes to a stamp: what Lasair serves, plain or compressed, and nothing that is not an image.

The bytes are not trusted: nothing is unpacked beyond a limit, and the header is checked before any pixel is read. The
simple files that surveys serve are read here by hand (astropy takes 25 times as long, which would be most of the time
that an object takes); whatever is not one of them goes to astropy.
"""

import io
import math
import warnings
import zlib

import numpy as np
from numpy.typing import NDArray

from annotator.errors import DamagedFileError, MissingModalityError

MAX_BYTES = 2_000_000
"""Of a file after decompression; a ZTF stamp has 20,000."""

MAX_LAYERS = 2
"""Of gzip around a file: a stamp that was packed by the survey may be packed again by who serves it."""

MAX_MEMBERS = 100
"""Parts that a gzip file may be made of; programs that pack in parallel make one of each 128 kB."""

MAX_REASON = 100
"""Characters of what astropy says of a file that it cannot read."""

MAX_SIDE = 500
"""Rows or columns; a ZTF stamp has 63."""

_CARD, _BLOCK = 80, 2880  # bytes; FITS standard 4.0, 3.1 and 3.3
_MAX_HEADER = 20 * _BLOCK
_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_NEEDED = (b"BITPIX  ", b"NAXIS   ", b"NAXIS1  ", b"NAXIS2  ")
_UNUSUAL = (b"BSCALE  ", b"BZERO   ", b"BLANK   ", b"GROUPS  ", b"INHERIT ")
_READ = frozenset((*_NEEDED, *_UNUSUAL))
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS  # zlib's code for "with gzip's header"


def read_stamp(content: bytes) -> NDArray[np.float32]:
    """Read one stamp.

    Parameters
    ----------
    content
        A FITS file, plain or gzipped: its primary image, or else the image of its first extension that has one.

    Returns
    -------
    NDArray
        ``(rows, columns)`` float32 in the file's own units, NaN where it says so.

    Raises
    ------
    DamagedFileError
        If it is truncated or damaged; the message is the reason.
    MissingModalityError
        If it is empty, too large, or no image; the message is the reason.
    """
    if not content:
        raise MissingModalityError("its file is empty")
    for _ in range(MAX_LAYERS):
        if content.startswith(_GZIP_MAGIC):
            content = _unpacked(content)
    if len(content) > MAX_BYTES:
        raise MissingModalityError(f"it has more than {MAX_BYTES} bytes")
    if not content.startswith(b"SIMPLE  ="):
        raise MissingModalityError(f"expected a FITS file, found {content[:20]!r}")
    simple = _simple_layout(content)
    if simple is None:
        return _read_with_astropy(content)
    offset, shape, dtype = simple
    _check_shape(shape)
    n_needed = math.prod(shape) * np.dtype(dtype).itemsize
    n_found = max(0, len(content) - offset)
    if n_found < n_needed:
        raise DamagedFileError(f"it is truncated: expected {n_needed} bytes of pixels, found {n_found}")
    return _as_float32(np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape))


def _unpacked(content: bytes) -> bytes:
    """Unpack all members of a gzip file, one after the other; what follows the last of them is ignored (RFC 1952)."""
    plain, rest = _first_member(content, MAX_BYTES)
    if not rest:
        return plain
    members, left = [plain], MAX_BYTES - len(plain)
    for _ in range(MAX_MEMBERS):
        rest = rest.lstrip(b"\0")  # padding to a block
        if not rest.startswith(_GZIP_MAGIC):
            break
        plain, rest = _first_member(rest, left)
        members.append(plain)
        left -= len(plain)
    return b"".join(members)


def _first_member(content: bytes, most: int) -> tuple[bytes, bytes]:
    """Unpack the first member of a gzip file; return what is in it and what follows it."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(content, most + 1)
    except zlib.error as failure:
        raise DamagedFileError(f"its gzip is damaged: {failure}") from failure
    if len(plain) > most:
        raise MissingModalityError(f"it has more than {MAX_BYTES} bytes when unpacked")
    if not unpacker.eof:
        raise DamagedFileError("it is truncated: its gzip does not end")
    return plain, unpacker.unused_data


def _simple_layout(content: bytes) -> tuple[int, tuple[int, int], str] | None:
    """Return offset, shape and type of a plain two-dimensional primary image; None where it is anything else."""
    cards: dict[bytes, bytes] = {}
    for start in range(0, min(len(content), _MAX_HEADER), _CARD):
        keyword = content[start : start + 8]
        if keyword in _READ:
            cards[keyword] = content[start + 8 : start + _CARD]
        elif keyword == b"END     ":
            offset = (start // _BLOCK + 1) * _BLOCK
            break
    else:
        if len(content) < _MAX_HEADER:
            raise DamagedFileError("its FITS cannot be read: its header does not end")
        return None
    if any(keyword in cards for keyword in _UNUSUAL) or not all(keyword in cards for keyword in _NEEDED):
        return None
    try:
        bitpix, n_axes, n_columns, n_rows = (int(cards[k].removeprefix(b"= ").partition(b"/")[0]) for k in _NEEDED)
    except ValueError:
        return None
    if n_axes != 2 or bitpix not in _DTYPES:
        return None
    return offset, (n_rows, n_columns), _DTYPES[bitpix]


def _plane(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out axes of one pixel in front of rows and columns."""
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or not all(1 <= side <= MAX_SIDE for side in shape):
        raise MissingModalityError(f"expected an image of at most {MAX_SIDE} pixels a side, found the shape {shape}")


def _read_with_astropy(content: bytes) -> NDArray[np.float32]:
    from astropy.io import fits  # takes a third of a second to import, and simple files do without

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that break a rule and can be read all the same
            with fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=True) as file:
                for part in file:
                    if part.is_image and len(part.shape) >= 2:
                        shape = _plane(part.shape)
                        _check_shape(shape)
                        return _as_float32(part.data.reshape(shape))
    except MissingModalityError:
        raise
    except Exception as failure:  # a damaged file raises what the damaged part happens to make of it
        said = str(failure).partition("\n")[0][:MAX_REASON] or type(failure).__name__
        raise DamagedFileError(f"its FITS cannot be read: {said}") from failure
    raise MissingModalityError("expected an image in the FITS file, found none")


def _as_float32(pixels: NDArray) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is no flux: infinite, and taken for missing
        return pixels.astype(np.float32)
