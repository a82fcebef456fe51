"""What each endpoint of Lasair for Rubin's API answers, its faults included, as measured in 2026."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from annotator.errors import RejectedError
from annotator.sandbox.lasair.api import Account, Api, Topic
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.forms import FORMS, Field, flag, integer, number, read_form, text
from annotator.sandbox.lasair.lsst.answers import added_answer, plain_answer
from annotator.sandbox.lasair.lsst.queue import AnnotationQueue
from annotator.sandbox.lasair.lsst.records import ObjectRecords
from annotator.sandbox.lasair.lsst.schema import MJD_MINUS_JD
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.lasair.wire import Answer, Request

LSST_FORMS: Mapping[str, Mapping[str, Field]] = MappingProxyType(
    {
        "query": FORMS["query"],
        "object": {"objectId": text(), "lite": flag(False), "lasair_added": flag(True)},
        "cone": {"ra": number(), "dec": number(), "radius": number(), "requestType": text()},
        "annotate": {
            "objectId": integer(),  # however large
            "topic": text(255),
            "classification": text(80),
            "version": text(80),
            "explanation": text(1024, may_be_blank=True),
            "classdict": text(4096),
            "url": text(1024, may_be_blank=True),
        },
    }
)
"""The fields of each endpoint."""

FAST_TOPIC = "fast_annotations"

_NO_SUCH_OBJECT = Answer(404, {"detail": "Not found."})
_NO_SHERLOCK = Answer(400, {"error": "This Lasair cluster does not have a Sherlock service"})
_RANGES = (("ra", 0.0, 360.0), ("dec", -90.0, 90.0), ("radius", 0.0, float("inf")))


class LsstEndpoints(Api):
    """The API of Lasair for Rubin.

    Parameters
    ----------
    database
        What its tables hold.
    records
        Returns what is known of an object's light curve, None for nothing.
    queue
        Where annotations go.
    root_url
        Returns where cutouts are.
    accounts, topics, clock
        As :class:`~annotator.sandbox.lasair.api.Api` has them.
    """

    def __init__(
        self,
        database: Database,
        records: Callable[[int], ObjectRecords | None],
        queue: AnnotationQueue,
        root_url: Callable[[], str],
        accounts: Sequence[Account],
        topics: Sequence[Topic],
        clock: Callable[[], float],
    ) -> None:
        handlers = {
            "object": self._object,
            "cone": self._cone,
            "annotate": self._annotate,
            "annotatelist": self._annotate_list,
            "sherlock/object": lambda account, request: _NO_SHERLOCK,
            "sherlock/position": lambda account, request: _NO_SHERLOCK,
        }
        super().__init__(handlers, database, LSST_FORMS, accounts, topics, clock)
        self._records = records
        self._queue = queue
        self._root_url = root_url

    def settle(self) -> None:
        """Let the consumer of annotations store what is due."""
        super().settle()
        self._queue.settle()

    def _object(self, account: Account, request: Request) -> Answer:
        form, problems = read_form(LSST_FORMS["object"], request)
        if problems:
            return Answer(400, problems)
        object_id = str(form["objectId"])
        if not object_id.isascii() or not object_id.isdigit() or int(object_id) >= 2**63:
            raise RejectedError(f"Unknown column '{object_id}' in 'where clause'")
        records = self._records(int(object_id))
        if not form["lasair_added"]:
            return Answer(200, plain_answer(object_id, records, form["lite"]))
        now_mjd = self._clock() / 86400 + UNIX_EPOCH_JD + MJD_MINUS_JD
        answer = added_answer(self._database, object_id, records, now_mjd, self._root_url(), form["lite"])
        return _NO_SUCH_OBJECT if answer is None else Answer(200, answer)

    def _cone(self, account: Account, request: Request) -> Answer:
        form, problems = read_form(LSST_FORMS["cone"], request)
        problems |= {
            name: [f"{name} must be between {low} and {high}"]
            for name, low, high in _RANGES
            if name in form and not low <= form[name] <= high
        }
        if problems:
            return Answer(400, problems)
        found = self._near(form["ra"], form["dec"], form["radius"])
        match form["requestType"]:
            case "nearest":
                return Answer(200, {"nearest": found[0]} if found else {})
            case "count":
                return Answer(200, {"count": len(found)})
            case "all":
                return Answer(200, {"objects": found, "count": len(found), "nearest": found[0] if found else {}})
        return Answer(400, {"requestType": [f'"{form["requestType"]}" is not a valid choice.']})

    def _annotate(self, account: Account, request: Request) -> Answer:
        """Acknowledge an annotation and put it into the queue: nothing here looks at what its texts hold."""
        annotation, problems = read_form(LSST_FORMS["annotate"], request)
        if problems:
            return Answer(400, problems)
        self._may_annotate(account, annotation["topic"])
        self._queue.put({name: str(value) for name, value in annotation.items()})
        message = {"diaObjectId": annotation["objectId"], "annotator": annotation["topic"]}
        return Answer(200, {"status": "success", "annotation_topic": FAST_TOPIC, "message": message})
