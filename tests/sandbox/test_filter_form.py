"""The sandbox's form for filters does what Lasair's was measured to do, and the API leaves labels as they are typed."""

import re

import pytest

from annotator.errors import RejectedError
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.filter_form import form_tables, saved_statement

WORDS_OF_SQL = [
    "prior",
    "type",
    "class",
    "host",
    "level",
    "version",
    "year",
    "count",
    "system",
    "source",
    "object",
    "public",
]


@pytest.fixture
def database():
    database = Database()
    database.put_rows(
        [{"objectId": "ZTF99aaaaaaa", "gmag": 18.5, "ncand": 4, "classification": "SN", "separationArcsec": 0.7}]
    )
    fields = dict.fromkeys(("explanation", "url"), "")
    database.annotate(
        fields
        | {"objectId": "ZTF99aaaaaaa", "topic": "aha_ztf", "classification": "watch", "version": "aha-ztf-1.0"}
        | {"classdict": '{"score": 2.5}'}
    )
    yield database
    database.close()


@pytest.mark.parametrize("word", WORDS_OF_SQL)
def test_a_label_that_is_a_word_of_sql_streams_in_capitals_and_is_answered_as_typed(database, word):
    selected = f"objects.objectId, objects.gmag AS {word}"

    streamed = database.run(saved_statement(selected, "objects.ncand > 3"))
    answered = database.query(selected, "objects", "objects.ncand > 3")

    assert streamed == [{"objectId": "ZTF99aaaaaaa", word.upper(): 18.5}]
    assert answered == [{"objectId": "ZTF99aaaaaaa", word: 18.5}]


def test_a_column_behind_its_tables_name_keeps_its_case(database):
    (row,) = database.run(saved_statement("objects.objectId, aha_ztf.version", "", ["aha_ztf"]))

    assert row == {"objectId": "ZTF99aaaaaaa", "version": "aha-ztf-1.0"}


def test_texts_and_paths_stay_as_they_are_typed(database):
    selected = 'objects.objectId, JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 as score'
    conditions = 'aha_ztf.classification = "watch" and "class" != "CLASSES" order by score desc'

    statement = saved_statement(selected, conditions, ["aha_ztf"])

    assert '"$.score"' in statement and '"class" != "CLASSES"' in statement
    assert re.search(r"ORDER BY score DESC$", statement)
    assert database.run(statement) == [{"objectId": "ZTF99aaaaaaa", "score": 2.5}]


def test_the_tables_are_those_of_which_select_names_a_column():
    assert form_tables("objects.objectId, objects.gmag, sherlock_classifications.z") == (
        "objects,sherlock_classifications"
    )


def test_an_annotator_comes_from_the_menu_and_its_name_goes_out_of_the_list():
    selected = "objects.objectId, aha_ztf.url, other.url"

    assert form_tables(selected, ["aha_ztf", "other"]) == "objects,, annotator:aha_ztf&other"
    assert form_tables(selected) == "objects,aha_ztf,other"


def test_a_table_that_where_alone_names_is_not_joined(database):
    with pytest.raises(RejectedError, match=r"no such column: sherlock_classifications\.separationArcsec"):
        database.run(saved_statement("objects.objectId", "sherlock_classifications.separationArcsec < 1"))


def test_an_annotator_that_was_not_chosen_is_unknown(database):
    with pytest.raises(RejectedError, match=r"no such column: aha_ztf\.url"):
        database.run(saved_statement("objects.objectId, aha_ztf.url", ""))


def test_what_lasairs_rules_forbid_cannot_be_saved():
    with pytest.raises(RejectedError, match="Cannot use ;"):
        saved_statement("objects.objectId", "objects.ncand > 3; drop")
