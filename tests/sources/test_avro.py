"""Alert packets in Avro: containers, frames that name their schema by a number, and what is damaged."""

import importlib.metadata
import io
import json
import math
from pathlib import Path

import pytest

from annotator.errors import ConfigError, SolarSystemObjectError, SourceError
from annotator.sources.avro import framed_record, is_framed
from annotator.sources.files import read_records
from annotator.sources.records import Unreadable, as_text, decoded
from annotator.surveys import SURVEYS
from annotator.transient import Modality
from tests.lsst_records import rubin_object, shapes

fastavro = pytest.importorskip("fastavro", reason="needs the extra avro")
LSST, ZTF = SURVEYS["lsst"], SURVEYS["ztf"]
SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_real = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real data at {SHARED}")


def _optional(name, kind):
    return {"name": name, "type": ["null", kind], "default": None}


SOURCE = {
    "type": "record",
    "name": "source",
    "fields": [
        *(_optional(name, "long") for name in ("diaSourceId", "diaObjectId", "ssObjectId")),
        *(
            _optional(name, "double")
            for name in ("midpointMjdTai", "ra", "dec", "psfFlux", "psfFluxErr", "reliability")
        ),
        _optional("band", "string"),
        _optional("timeWithdrawnMjdTai", "double"),
    ],
}
SCHEMA = {
    "type": "record",
    "name": "packet",
    "fields": [
        _optional("diaSourceId", "long"),
        {"name": "diaSource", "type": SOURCE},
        _optional("prvDiaSources", {"type": "array", "items": "source"}),
        _optional("cutoutScience", "bytes"),
    ],
}


def packet(seed=1):
    whole = shapes(rubin_object(seed, n_nights=5))["packet"]
    return {name: whole.get(name) for name in ("diaSourceId", "diaSource", "prvDiaSources")} | {
        "cutoutScience": b"\0\1"
    }


def framed(value, schema=SCHEMA, schema_id=9901):
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), value)
    return b"\0" + schema_id.to_bytes(4, "big") + body.getvalue()


@pytest.fixture
def schemas(tmp_path):
    folder = tmp_path / "schemas" / "99" / "1"
    folder.mkdir(parents=True)
    (folder / "survey.v99_1.alert.avsc").write_text(json.dumps(SCHEMA))
    return tmp_path / "schemas"


@pytest.fixture
def container(tmp_path):
    path = tmp_path / "night.avro"
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(SCHEMA), [packet(seed) for seed in range(3)], sync_interval=10)
    return path


def test_a_file_that_carries_its_schema_is_read_packet_by_packet(container):
    found = [LSST.parse(record) for record in read_records(container, LSST)]
    assert [item.object_id for item in found] == [str(rubin_object(seed, n_nights=5).object_id) for seed in range(3)]
    assert all(item.light_curve is not None for item in found)


def test_a_framed_packet_is_read_by_the_schema_of_its_number(schemas, tmp_path):
    value = framed(packet())
    assert is_framed(value) and framed_record(value, schemas)["diaSourceId"] == packet()["diaSourceId"]
    (tmp_path / "one.avro").write_bytes(value)
    (record,) = read_records(tmp_path / "one.avro", LSST, schemas=schemas)
    assert LSST.parse(record).object_id == str(rubin_object(1, n_nights=5).object_id)


def test_a_schema_that_is_not_there_is_named(schemas):
    for value, folder, words in (
        (framed(packet(), schema_id=1207), schemas, "schema 12.7, of which there is none in"),
        (framed(packet()), None, "schema 99.1: name a folder"),
    ):
        found = framed_record(value, folder)
        assert isinstance(found, Unreadable) and words in found.reason and len(found.text) > len(value)


def test_a_schema_that_is_none_is_the_operator_s_to_mend(tmp_path):
    (tmp_path / "survey.v99_1.alert.avsc").write_text("{}")
    with pytest.raises(ConfigError, match=r"v99_1\.alert\.avsc cannot be read"):
        framed_record(framed(packet()), tmp_path)


def test_a_packet_that_breaks_off_anywhere_is_refused_by_name(schemas):
    value = framed(packet())
    for end in range(6, len(value)):
        found = framed_record(value[:end], schemas)
        assert isinstance(found, Unreadable) and "breaks off or is damaged" in found.reason
    assert "3 bytes too many" in framed_record(value + b"abc", schemas).reason


def test_a_container_that_breaks_off_gives_what_was_before_and_says_so(container):
    whole = container.read_bytes()
    n_whole, no_schema = [], []
    for end in range(len(whole) - 1, 4, -7):
        container.write_bytes(whole[:end])
        try:
            found = list(read_records(container, LSST))
        except SourceError as error:
            no_schema.append(str(error))
            continue
        n_whole.append(sum(not isinstance(record, Unreadable) for record in found))
        assert all("breaks off or is damaged" in record.reason for record in found if isinstance(record, Unreadable))
    assert n_whole[0] >= 2 and n_whole[-1] == 0 and sorted(n_whole, reverse=True) == n_whole
    assert no_schema and all("has no schema that can be read" in words for words in no_schema)


@pytest.mark.parametrize("text", ['{"diaObjectId": 5}', "[1]", "\0{", "a"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-be", "utf-32-be", "utf-16"])
def test_no_text_is_taken_for_a_frame(text, encoding):
    assert not is_framed(text.encode(encoding))


def test_a_packet_that_is_kept_as_text_is_the_same_again(container):
    for record in read_records(container, LSST):
        first, again = LSST.parse(record), LSST.parse(decoded(as_text(record)))
        assert again.light_curve.flux_njy.tolist() == first.light_curve.flux_njy.tolist()
        assert again.why_missing == first.why_missing and Modality.TRIPLET in first.why_missing


# The survey's own schemas, of a package under the GPL that is never shipped


def survey_schemas():
    try:
        files = importlib.metadata.files("lsst-alert-packet") or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    found = next((Path(item.locate()) for item in files if item.name == "lsst.v9_0.alert.avsc"), None)
    return found and found.parents[2]


SURVEY_SCHEMAS = survey_schemas()
needs_schemas = pytest.mark.skipif(SURVEY_SCHEMAS is None, reason="needs the package lsst-alert-packet")
VERSIONS = (700, 701, 702, 703, 704, 800, 900, 1000, 1100, 1101)


def filled(schema, value, named):
    """Give a value of a schema, with what a packet of ours has of it, and NaN, null or 0 for all else."""
    if isinstance(schema, str) and schema in named:
        schema = named[schema]
    if isinstance(schema, list):
        if value is None and "null" in schema:
            return None
        return filled(next(kind for kind in schema if kind != "null"), value, named)
    if isinstance(schema, dict) and schema["type"] == "record":
        named[schema["name"]] = schema
        value = value or {}
        return {field["name"]: filled(field["type"], value.get(field["name"]), named) for field in schema["fields"]}
    if isinstance(schema, dict) and schema["type"] == "array":
        return [filled(schema["items"], item, named) for item in value or ()]
    kind = schema["type"] if isinstance(schema, dict) else schema
    absent = {"string": "", "boolean": False, "float": math.nan, "double": math.nan, "bytes": b""}
    return absent.get(kind, 0) if value is None else value


@needs_schemas
@pytest.mark.parametrize("schema_id", VERSIONS)
def test_every_version_of_the_survey_s_own_packets_is_read(schema_id):
    major, minor = divmod(schema_id, 100)
    path = SURVEY_SCHEMAS / str(major) / str(minor) / f"lsst.v{major}_{minor}.alert.avsc"
    schema, item = fastavro.schema.load_schema(str(path)), rubin_object(4, n_nights=5)
    written = framed(filled(schema, shapes(item)["packet"], {}), schema, schema_id)
    found, expected = LSST.parse(framed_record(written, SURVEY_SCHEMAS)), LSST.parse(shapes(item)["packet"])
    assert found.object_id == expected.object_id and found.n_det == expected.n_det
    assert found.light_curve.time_mjd.tolist() == expected.light_curve.time_mjd.tolist()
    # The survey stores fluxes in single precision.
    assert found.light_curve.flux_njy.tolist() == pytest.approx(expected.light_curve.flux_njy.tolist(), rel=1e-6)
    for end in range(10, len(written), 97):
        assert isinstance(framed_record(written[:end], SURVEY_SCHEMAS), Unreadable)


@needs_schemas
@needs_real
def test_a_real_framed_packet_is_read_with_its_stamps():
    (path,) = (SHARED / "data" / "rubin" / "alerts").glob("*.avro")
    (record,) = read_records(path, LSST, schemas=SURVEY_SCHEMAS)
    found = LSST.parse(record)
    assert found.object_id == "7912941781254298" and found.n_det == 1
    assert found.triplet.science.shape == found.triplet.difference.shape and min(found.triplet.science.shape) >= 30
    again = LSST.parse(decoded(as_text(record)))
    assert (again.triplet.science == found.triplet.science).all()


@needs_real
def test_real_packets_of_a_container_are_read_and_asteroids_refused_as_that():
    path = SHARED / "fixtures" / "alerts" / "fink_lsst_7alerts.avro"
    read, refused = [], 0
    for record in read_records(path, LSST):
        try:
            read.append(LSST.parse(record))
        except SolarSystemObjectError:
            refused += 1
    assert (len(read), refused) == (5, 2)
    for found in read:
        assert found.n_det > 300 and found.light_curve.is_forced.any() and found.triplet is not None
        curve = found.light_curve
        for band in set(curve.band.tolist()):
            assert (curve.time_mjd[curve.band == band][1:] - curve.time_mjd[curve.band == band][:-1]).min() > 10 / 86400


@needs_real
@pytest.mark.parametrize("name", ["ztf_v3.1_739260766315010006", "ztf_v4.02_2695378462115010012", "fink_ztf_31alerts"])
def test_real_packets_of_ztf_are_read_from_their_containers(name):
    records = list(read_records(SHARED / "fixtures" / "alerts" / f"{name}.avro", ZTF))
    assert all(ZTF.parse(record).light_curve is not None for record in records) and records
