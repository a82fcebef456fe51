import re
from pathlib import Path

import lasair
import pytest

import annotator
from annotator.cli import main
from annotator.ledger import open_for_pass
from annotator.monitor.check import EXAMPLE_GROUP_ID, check
from annotator.sandbox import Account, LsstSandbox, Sandbox, simulate_rubin_night
from annotator.sandbox.kafka import StreamBroker
from annotator.sources.kafka_lag import read_lag
from annotator.surveys.ztf.record import ZTF
from tests.conftest import TOKEN


def points(tmp_path, token=TOKEN) -> dict[str, tuple[bool, str]]:
    found = check(tmp_path / "aha.yaml", {"LASAIR_TOKEN": token} if token else {})
    return {point.name: (point.in_order, point.words) for point in found}


def test_everything_in_order_is_said_point_by_point(sandbox, configure, tmp_path, capsys, monkeypatch):
    configure(sandbox)
    found = points(tmp_path)
    names = ["configuration", "models", "folders", "schedule", "ledger", "token", "endpoint", "source", "topic"]
    assert list(found) == names
    assert re.fullmatch(r"every 10 minutes: .*( \w{3} \d{4}-\d\d-\d\d \d\d:\d\d,?){3} UTC", found["schedule"][1])
    assert all(in_order for in_order, _ in found.values())
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    assert main(["check", "-c", str(tmp_path / "aha.yaml")]) == 0
    assert capsys.readouterr().out.count("ok ") == 9
    assert sandbox.annotations() == []


def test_a_table_has_the_columns_that_its_header_names_whatever_is_empty_in_a_row(sandbox, configure, tmp_path):
    names = ZTF.needed_columns
    rows = [
        [f"ZTF99aaaaaa{letter}", *("" if n % 2 == k else "18.2" for n, _ in enumerate(names[1:]))]
        for k, letter in enumerate("ab")
    ]
    (tmp_path / "night.csv").write_text("\n".join(";".join(row) for row in (names, *rows)) + "\n")
    configure(sandbox, source={"kind": "file", "path": "night.csv"})
    assert points(tmp_path)["source"] == (
        True,
        f"{tmp_path}/night.csv can be read and has every column that the models use",
    )
    (tmp_path / "night.csv").write_text("name;colour\nZTF99aaaaaaa;blue\n")
    in_order, said = points(tmp_path)["source"]
    assert not in_order and "no column objectId; the columns are name, colour" in said


def test_a_ledger_of_another_topic_is_not_in_order(sandbox, configure, tmp_path):
    with open_for_pass(configure(sandbox).ledger) as ledger:
        ledger.identity.note_topic("ztf", "aha_other")
    in_order, said = points(tmp_path)["ledger"]
    assert not in_order and "give it a ledger of its own" in said


def test_a_ledger_on_a_network_file_system_is_not_in_order(sandbox, configure, tmp_path, monkeypatch):
    with open_for_pass(configure(sandbox).ledger):
        pass
    monkeypatch.setattr(annotator.monitor.check, "file_system_of", lambda path: "nfs4")
    in_order, said = points(tmp_path)["ledger"]
    assert not in_order and "it lies on nfs4, a network file system: put it on a local disk" in said


@pytest.mark.parametrize(
    ("changes", "token", "point", "words"),
    [
        ({}, None, "token", "set the environment variable LASAIR_TOKEN"),
        ({}, "wrong", "token", "does not accept the token"),
        ({"models": "nowhere"}, TOKEN, "models", "expected a folder of models"),
        ({"schedule": {"cron": "0 12 * * 8"}}, TOKEN, "schedule", "the day of the week must be 0 to 7"),
        ({"ledger": "no/such/folder/ledger.sqlite"}, TOKEN, "ledger", "cannot open the ledger"),
        ({"cutouts": {"cache": "."}}, TOKEN, "folders", "the ledger lies in the folder of the cutouts"),
        ({"cutouts": {"cache": "full"}}, TOKEN, "folders", "expected an empty folder for cutouts"),
        ({"ledger": "report/ledger.sqlite"}, TOKEN, "folders", "the ledger lies in the folder of a report"),
        ({"source__filter": "absent"}, TOKEN, "source", "no filter is called"),
        ({"source__filter": "thin.sql"}, TOKEN, "source", "does not have"),
    ],
)
def test_what_is_not_in_order_is_named_with_what_to_do(sandbox, configure, tmp_path, changes, token, point, words):
    for name in ("report/.aha-report", "full/thesis.tex"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "thin.sql").write_text(
        "-- thin\nSELECT\nobjects.objectId, objects.jdmax\nFROM\nobjects\nWHERE\nobjects.ncand > 0\n"
    )
    configure(sandbox, **changes)
    in_order, said = points(tmp_path, token)[point]
    assert not in_order and words in said


def test_a_stream_is_looked_into_without_reading_it(sandbox, configure, tmp_path, night):
    def source(topic):
        return {"kind": "stream", "topic": topic, "group_id": "check", "broker": broker.bootstrap}

    with StreamBroker() as broker:
        broker.publish("lasair_1full", night.rows()[:3])
        broker.publish("lasair_1thin", [{"objectId": "ZTF99aaaaaaa"}])
        row = night.rows()[0]
        renamed = {name.upper() if name in ("gmag", "rmag") else name: value for name, value in row.items()}
        broker.publish("lasair_1capitals", [renamed])
        broker.create_topic("lasair_1empty")
        configure(sandbox, source=source("lasair_1full"))
        assert points(tmp_path)["source"][0]
        configure(sandbox, source=source("lasair_1thin"))
        in_order, said = points(tmp_path)["source"]
        assert not in_order and "does not have jdmax, gmag" in said
        configure(sandbox, source=source("lasair_1capitals"))
        in_order, said = points(tmp_path)["source"]
        assert not in_order and "has GMAG instead of gmag, RMAG instead of rmag: capitals count" in said
        assert "does not have" not in said
        configure(sandbox, source=source("lasair_1empty"))
        assert "holds no object just now" in points(tmp_path)["source"][1]
        assert read_lag(configure(sandbox, source=source("lasair_1full")).source, None).messages == 3


def test_a_wrong_endpoint_is_told_from_a_wrong_token(sandbox, configure, tmp_path):
    configure(sandbox)
    text = (tmp_path / "aha.yaml").read_text()
    (tmp_path / "aha.yaml").write_text(text.replace(sandbox.url, sandbox.url.replace("/api", "/elsewhere/api")))
    in_order, said = points(tmp_path)["endpoint"]
    assert not in_order and "lasair-ztf.lsst.ac.uk/api" in said


def test_an_endpoint_that_serves_another_survey_is_found_out(configure, tmp_path):
    with Sandbox(accounts=[Account(TOKEN, "power")]) as other:
        other.load([{"objectId": "169342390923427937", "ncand": 3}])
        configure(other)
        in_order, said = points(tmp_path)["endpoint"]
    assert not in_order and "169342390923427937" in said


def test_a_lasair_of_the_other_survey_is_known_as_such_whichever_is_configured(sandbox, configure, tmp_path):
    rubin = simulate_rubin_night(7, 20, now_mjd=61400.4)
    with LsstSandbox(rubin, accounts=[Account(TOKEN, "power")]) as other:
        configure(other)
        in_order, said = points(tmp_path)["endpoint"]
    assert not in_order and re.search(
        r"a Lasair of lsst, such as \d{15,19}, and survey is ztf: set survey to lsst", said
    )
    configure(sandbox, survey="lsst", annotation__topic="aha_lsst")
    found = points(tmp_path)
    in_order, said = found["endpoint"]
    assert not in_order and "a Lasair of ztf, such as ZTF" in said and "api.lasair.lsst.ac.uk" in said
    assert "provisional models: of light curves alone" in found["models"][1]


def test_a_token_that_is_not_accepted_may_be_of_the_other_lasair(sandbox, configure, tmp_path):
    configure(sandbox)
    in_order, said = points(tmp_path, "wrong")["token"]
    assert not in_order and "of an account at the Lasair of ztf; one of lsst is not accepted" in said


def test_calls_that_are_used_up_say_nothing_against_the_endpoint(sandbox, configure, tmp_path):
    configure(sandbox)
    sandbox.misbehave("query", "refuse", status=429)
    found = points(tmp_path)
    assert "endpoint" not in found and "token" not in found
    in_order, said = found["calls"]
    assert not in_order and "the hour's calls are used up" in said and "nothing against the token" in said


def annotate(sandbox, object_id: str, version: str) -> None:
    fields = {"topic": "aha_ztf", "objectId": object_id, "classification": "kilonova", "version": version}
    client = lasair.lasair_client(TOKEN, endpoint=sandbox.url)
    client.annotate(**fields, explanation="", classdict={}, url="")


def test_a_topic_that_holds_what_others_wrote_is_told(sandbox, configure, tmp_path, night):
    configure(sandbox)
    names = [row["objectId"] for row in night.rows()[:2]]
    annotate(sandbox, names[0], "aha-ztf-0.9")  # of an older release, by a ledger that is gone
    assert points(tmp_path)["topic"][0]
    annotate(sandbox, names[1], "fast-finder-2")
    in_order, said = points(tmp_path)["topic"]
    assert not in_order and "1 annotations or more" in said and f"{names[1]} as kilonova" in said


def test_the_examples_group_is_nobodys(sandbox, configure, tmp_path):
    example = (Path(annotator.__file__).parent / "example.yaml").read_text()
    assert f"group_id: {EXAMPLE_GROUP_ID} " in example
    configure(sandbox, source={"kind": "stream", "topic": "lasair_1Any", "group_id": EXAMPLE_GROUP_ID})
    in_order, said = points(tmp_path)["source"]
    assert not in_order and "choose one of your own" in said


def test_a_broken_configuration_is_the_only_point(tmp_path):
    (tmp_path / "aha.yaml").write_text("survey: ztf\n")
    assert list(points(tmp_path)) == ["configuration"]
