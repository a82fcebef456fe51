"""Column names of Lasair and of the surveys stand in `surveys/`, and in the sandbox that imitates a Lasair.

Whoever writes one elsewhere makes the rest of the project about one survey. What a survey's record hands over as data,
AHA's names in a manifest or a ledger, is nobody's word and passes everywhere.
"""

import io
import re
import tokenize
from pathlib import Path

from annotator.surveys import SURVEYS

ROOT = Path(__file__).parents[2]
HOMES = ("annotator/surveys/", "annotator/sandbox/")

OF_ZTF_OBJECTS = """
    objectId ramean decmean rastd decstd glonmean glatmean jdgmax jdrmax jdmax jdmin gmag rmag maggmin maggmean maggmax
    magrmin magrmean magrmax mag_g02 mag_g08 mag_g28 mag_r02 mag_r08 mag_r28 dmdt_g dmdt_r dmdt_g_err dmdt_r_err
    dmdt_g_2 dmdt_r_2 g_minus_r jd_g_minus_r ncand ncandgp ncandgp_7 ncandgp_14 distpsnr1 sgscore1 sgmag1 srmag1 htm16
"""
OF_ZTF_CANDIDATES = """
    candid fid nid magpsf sigmapsf diffmaglim isdiffpos magnr sigmagnr magzpsci ssdistnr ssnamenr drb forcediffimflux
    forcediffimfluxunc prv_candidates objectData ndethist
"""
OF_SHERLOCK = "separationArcsec major_axis_arcsec association_type catalogue_table_name raDeg decDeg"
OF_RUBIN = """
    diaObjectId diaSourceId ssObjectId midpointMjdTai firstDiaSourceMjdTai lastDiaSourceMjdTai psfFlux psfFluxErr
    templateFlux scienceFlux latest_psfFlux latestR medianR nDiaSources nPosDiaSources diaObject diaSource
    diaSourcesList diaForcedSourcesList lasairData imageUrls
    prvDiaSources prvDiaForcedSources diaForcedSource timeWithdrawnMjdTai nSourcesGood BBBRiseRate BBBFallRate BBBTemp
    jump1 jump2 latestPairColourTemp penultimatePairColourTemp cutoutScience cutoutTemplate cutoutDifference
"""
IN_SQL = "jdnow mjdnow"
WORDS = frozenset(" ".join((OF_ZTF_OBJECTS, OF_ZTF_CANDIDATES, OF_SHERLOCK, OF_RUBIN, IN_SQL)).split())

ALLOWED = {
    "annotator/annotation.py": {"objectId"},  # the key of our own lines, tables and verdict files, for any survey
    "annotator/lasair/api.py": {"objectId"},  # the parameter of Lasair's own client, for either Lasair
}
"""What else a file may say, and why."""


def words_of(path):
    """Return the survey words of a file, in names and in whatever is text; comments say what they like."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    written = " ".join(token.string for token in tokens if token.type != tokenize.COMMENT)
    return WORDS.intersection(re.findall(r"\w+", written))


def sources(room):
    return {path.relative_to(ROOT).as_posix(): path for path in (ROOT / room).rglob("*.py")}


def test_a_survey_s_columns_are_named_in_their_home_alone():
    files = sources("annotator") | sources("training")
    said = {name: words_of(path) for name, path in files.items() if not name.startswith(HOMES)}
    assert {name: words for name, words in said.items() if words} == ALLOWED


def test_what_a_survey_asks_lasair_for_is_on_the_list():
    assert all(set(survey.needed_columns) | {survey.count_column} <= WORDS for survey in SURVEYS.values())
