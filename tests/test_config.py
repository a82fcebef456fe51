import re
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import annotator
from annotator.config import REMOVED, Config, ConfigFile, FileSource, QuerySource, load_config
from annotator.errors import ConfigError
from annotator.surveys import SURVEYS

EXAMPLE = Path(annotator.__file__).parent / "example.yaml"

MINIMAL = {
    "survey": "ztf",
    "lasair": {"endpoint": "https://lasair-ztf.lsst.ac.uk/api"},
    "source": {"kind": "query"},
    "annotation": {"topic": "aha_ztf"},
}


def load(tmp_path, document, environ=None) -> Config:
    path = tmp_path / "aha.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return load_config(path, environ or {})


def with_key(key: str, value) -> dict:
    document = {name: dict(part) if isinstance(part, dict) else part for name, part in MINIMAL.items()}
    *parents, last = key.split(".")
    target = document
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = value
    return document


def test_the_example_loads_and_states_the_defaults(tmp_path):
    example = load_config(EXAMPLE, {})
    minimal = load(tmp_path, MINIMAL)
    assert example.cutouts.cache == EXAMPLE.parent / "aha-cutouts" and minimal.cutouts.cache == tmp_path / "aha-cutouts"
    replace = msgspec.structs.replace
    assert replace(example, ledger=minimal.ledger, cutouts=minimal.cutouts) == minimal
    assert replace(example.cutouts, cache=minimal.cutouts.cache) == minimal.cutouts


def test_the_example_documents_every_key():
    document = yaml.safe_load(EXAMPLE.read_text())
    assert set(document) == set(ConfigFile.__struct_fields__)
    for name, part in msgspec.structs.asdict(load_config(EXAMPLE, {})).items():
        if isinstance(part, msgspec.Struct):
            assert set(document[name]) - {"kind"} == set(part.__struct_fields__)


def test_a_source_is_chosen_by_its_kind_and_paths_are_relative_to_the_file(tmp_path):
    assert isinstance(load(tmp_path, MINIMAL).source, QuerySource)
    config = load(tmp_path, with_key("source", {"kind": "file", "path": "night.json"}))
    assert config.source == FileSource(tmp_path / "night.json")
    assert config.ledger == tmp_path / "aha-ledger.sqlite"
    assert load(tmp_path, with_key("ledger", "other/ledger.sqlite")).ledger == tmp_path / "other" / "ledger.sqlite"
    own = load(tmp_path, with_key("source.filter", "mine.sql"))
    assert own.source.filter == str(tmp_path / "mine.sql")


def test_the_input_filter_is_the_survey_s_own_where_none_is_named(tmp_path):
    assert load(tmp_path, MINIMAL).source.name == "query input_ztf"
    rubin = with_key("lasair.endpoint", "https://lasair.example.org/api") | {"survey": "lsst"}
    assert load(tmp_path, rubin).source.filter == "input_lsst"
    assert load(tmp_path, rubin | {"source": {"kind": "query", "filter": "mine"}}).source.filter == "mine"


@pytest.mark.parametrize(
    ("survey", "endpoint", "whose"),
    [
        ("lsst", "https://lasair-ztf.lsst.ac.uk/api", "ztf"),
        ("ztf", "https://api.lasair.lsst.ac.uk/api", "lsst"),
        ("ztf", "https://lasair.lsst.ac.uk/api", "lsst"),
    ],
)
def test_an_endpoint_of_another_survey_is_refused_by_name(tmp_path, survey, endpoint, whose):
    right = SURVEYS[survey].endpoint
    with pytest.raises(ConfigError, match=rf"{endpoint} is the Lasair of {whose}: .* or the endpoint to {right}"):
        load(tmp_path, with_key("lasair.endpoint", endpoint) | {"survey": survey})


def test_cutouts_come_from_the_endpoint_s_own_host_unless_others_are_named(tmp_path):
    ztf, lsst = SURVEYS["ztf"], SURVEYS["lsst"]
    config = load(tmp_path, with_key("lasair.endpoint", "https://lasair-ztf.lsst.ac.uk/api"))
    assert config.lasair.allowed_cutout_hosts(ztf) == ("lasair-ztf.lsst.ac.uk",)
    rubin = with_key("lasair.endpoint", SURVEYS["lsst"].endpoint) | {"survey": "lsst"}
    config = load(tmp_path, rubin)
    assert config.lasair.allowed_cutout_hosts(lsst) == ("lasair.lsst.ac.uk",)
    config = load(tmp_path, with_key("lasair.endpoint", "https://lasair.example.org/api"))
    assert config.lasair.allowed_cutout_hosts(lsst) == ("lasair.example.org",)
    config = load(tmp_path, with_key("lasair.cutout_hosts", ["stamps.example.org"]))
    assert config.lasair.allowed_cutout_hosts(ztf) == ("stamps.example.org",)


def test_a_ledger_on_a_server_has_its_password_from_the_environment_alone(tmp_path):
    url = "postgresql+psycopg://aha@db.example.org:5433/aha?sslmode=require"
    config = load(tmp_path, with_key("ledger", url), {"AHA_LEDGER_PASSWORD": "s3cret"})
    assert str(config.ledger) == url and config.ledger.password == "s3cret"
    assert "s3cret" not in repr(config)
    assert load(tmp_path, with_key("ledger", url)).ledger.password is None
    with pytest.raises(ConfigError, match=r"aha\.yaml: ledger must hold no password") as refused:
        load(tmp_path, with_key("ledger", "postgresql+psycopg://aha:s3cret@db.example.org/aha"))
    assert "s3cret" not in str(refused.value)


def test_the_token_comes_from_the_environment_and_is_never_shown(tmp_path):
    config = load(tmp_path, MINIMAL, {"LASAIR_TOKEN": " s3cret \n"})
    assert config.require_token() == "s3cret"
    assert "s3cret" not in repr(config)
    with pytest.raises(ConfigError, match="LASAIR_TOKEN"):
        load(tmp_path, MINIMAL).require_token()


@pytest.mark.parametrize(
    "token",
    [
        "Token abc123",
        '"abc123"',
        "'abc123'",
        "abc\ndef",
        "abc\N{EM DASH}def",
        "\udcffabc",
        "\N{LEFT DOUBLE QUOTATION MARK}a",
    ],
)
def test_a_token_that_was_copied_with_more_than_itself_is_refused_and_not_shown(tmp_path, token):
    with pytest.raises(ConfigError, match="LASAIR_TOKEN must hold the API token alone") as refused:
        load(tmp_path, MINIMAL, {"LASAIR_TOKEN": token})
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:s3cret@example.org/api",
        "https://s3cret@example.org/api",
        "https://example.org/api?token=s3cret&a=s3cret",
    ],
)
def test_what_is_secret_in_a_wrong_url_is_not_repeated(tmp_path, url):
    with pytest.raises(ConfigError, match="must be an https URL") as refused:
        load(tmp_path, with_key("lasair.endpoint", url))
    assert "s3cret" not in str(refused.value) and "example.org/api" in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("colour", "blue", "unknown key colour; known here: annotation, attention, cutouts"),
        (
            "lasair.endpont",
            "x",
            "unknown key lasair.endpont; known here: batch_annotations, calls_per_hour, cutout_hosts",
        ),
        ("token", "abc", "aha.yaml: token must not be in the file: set the environment variable LASAIR_TOKEN"),
        ("lasair.token", "abc", "lasair.token must not be in the file: set the environment variable LASAIR_TOKEN"),
        ("survey", "lsstt", "survey must be one of lsst, ztf; found 'lsstt'"),
        (
            "lasair.calls_per_hour",
            "many",
            "lasair.calls_per_hour must be a whole number from 4 to 1,000,000; found 'many'",
        ),
        ("lasair.calls_per_hour", True, "lasair.calls_per_hour must be a whole number from 4 to 1,000,000; found True"),
        ("lasair.calls_per_hour", 1, "lasair.calls_per_hour must be a whole number from 4 to 1,000,000; found 1"),
        (
            "lasair.calls_per_hour",
            100.0,
            "lasair.calls_per_hour must be a whole number from 4 to 1,000,000; found 100.0",
        ),
        ("lasair.timeout_s", "NaN", "lasair.timeout_s must be a number from 0.1 to 600; found 'NaN'"),
        ("lasair.timeout_s", float("nan"), "lasair.timeout_s must be a number from 0.1 to 600; found nan"),
        ("lasair.endpoint", "http://example.org/api", "lasair.endpoint must be an https URL"),
        ("lasair.endpoint", "https://me:pw@example.org/api", "lasair.endpoint must be an https URL"),
        (
            "lasair.endpoint",
            "https://lasair-ztf.lsst.ac.uk",
            "that ends in /api, without user, query or fragment; found 'https://lasair-ztf.lsst.ac.uk'",
        ),
        ("source.kind", "carrier-pigeon", "source.kind must be one of stream, query, file; found 'carrier-pigeon'"),
        ("source.kind", 3, "source.kind must be one of stream, query, file; found 3"),
        ("source", {}, "source.kind must be one of stream, query, file; found nothing"),
        ("source", {"kind": "file", "path": "a", "filter": "b"}, "unknown key source.filter; known here: kind, path"),
        ("source", {"kind": "file"}, "missing key source.path"),
        ("source", "query", "source must be a mapping of keys with kind, one of stream, query, file; found 'query'"),
        ("annotation.topic", "AHA", "annotation.topic must be a lower-case SQL name"),
        ("annotation.topic", "tags_aha", "annotation.topic must be a lower-case SQL name"),
        ("annotation.topic", "objects", "annotation.topic must be a lower-case SQL name"),
        (
            "annotation.classes",
            ["anomaly", "supernova"],
            "annotation.classes[1] must be one of artefact, variable, anomaly, watch, normal; found 'supernova'",
        ),
        ("annotation.classes", "anomaly", "annotation.classes must be a list; found 'anomaly'"),
        ("annotation.classes", ["watch", "watch"], "annotation.classes must name each once; found watch, watch"),
        ("decision.watch_score", 4.0, "decision.watch_score (4) must not exceed anomaly_score (3)"),
        ("decision.exotic_probability", 0, "must be a number above 0 to 1, or null; found 0"),
        ("decision.classified", None, "decision.classified must be one of demote, state; found nothing"),
        ("ledger", 5, "ledger must be the path of a file, or postgresql+psycopg://USER@HOST/DATABASE; found 5"),
        ("models", "", "models must be a path, or null; found ''"),
        ("lasair.object_share", 1.0, "lasair.object_share must be a number from 0 to 0.95; found 1.0"),
        ("lasair.cutout_hosts", [], "lasair.cutout_hosts must be a list of host names"),
        ("lasair.cutout_hosts", ["https://host/"], "lasair.cutout_hosts[0] must be a host name; found 'https://host/'"),
        ("cutouts.parallel", 0, "cutouts.parallel must be a whole number from 1 to 32; found 0"),
        ("cutouts.parallell", 4, "unknown key cutouts.parallell"),
        ("decision", [1], "decision must be a mapping of keys; found [1]"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path, key, value, message):
    with pytest.raises(ConfigError) as failure:
        load(tmp_path, with_key(key, value))
    assert message in str(failure.value)
    assert str(tmp_path / "aha.yaml") in str(failure.value)


@pytest.mark.parametrize("key", REMOVED)
def test_a_key_that_there_once_was_is_told_with_the_reason_why_it_is_gone(tmp_path, key):
    with pytest.raises(ConfigError, match=rf"there is no {re.escape(key)} any longer: .*\. Delete the line\."):
        load(tmp_path, with_key(key, 45))


@pytest.mark.parametrize("key", ["survey", "lasair", "lasair.endpoint", "source", "annotation", "annotation.topic"])
def test_a_missing_key_is_named(tmp_path, key):
    document = {name: dict(part) if isinstance(part, dict) else part for name, part in MINIMAL.items()}
    *parents, last = key.split(".")
    del (document[parents[0]] if parents else document)[last]
    with pytest.raises(ConfigError, match=f"missing key {key}"):
        load(tmp_path, document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("survey: ztf\nsurvey: lsst\n", "key 'survey' is repeated"),
        ("survey: [ztf\n", "not valid YAML"),
        ("schedule: {cron: @daily}\n", "begins with @ or . needs quotes"),
        ("schedule:\n  cron: * * * * *\n", "begins with @ or . needs quotes"),
        ("", "has no keys"),
        ("- survey\n", "has no keys"),
        ("? [a, b]\n: c\n", "not valid YAML"),
        ("survey: ztf\n5: ztf\n", "key 5 is not a plain name"),
        ("survey: ztf\nlasair: &again {endpoint: *again}\n", "found the alias"),
        ("survey: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_what_is_no_configuration_is_refused_in_plain_words(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_config(tmp_path / "absent.yaml", {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00survey")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "binary.yaml", {})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_document_is_a_configuration_or_a_clear_error(tmp_path_factory, document):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="replace")
    with pytest.raises(ConfigError):
        load_config(path, {})


def test_as_many_annotations_go_in_a_call_as_the_survey_s_lasair_takes_unless_said_otherwise(tmp_path):
    assert load(tmp_path, MINIMAL).batch_annotations == SURVEYS["ztf"].batch_annotations == 1
    rubin = with_key("lasair.endpoint", SURVEYS["lsst"].endpoint) | {"survey": "lsst"}
    assert load(tmp_path, rubin).batch_annotations == SURVEYS["lsst"].batch_annotations == 100
    assert load(tmp_path, with_key("lasair.batch_annotations", 7)).batch_annotations == 7
