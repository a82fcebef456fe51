"""What each endpoint of Lasair-ZTF's API answers, its faults included, as measured in 2026."""

import functools
from collections.abc import Callable, Mapping, Sequence

from annotator.errors import RejectedError
from annotator.sandbox.lasair.answers import object_answer
from annotator.sandbox.lasair.api import Account, Api, Handler, Topic
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.forms import FORMS, read_form
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.lasair.wire import SERVER_ERROR, Answer, Request

_NO_SHERLOCK = Answer(400, {"error": "This Lasair cluster does not have a Sherlock service"})
_FAST_TOPIC = "ztf_annotations"


class Endpoints(Api):
    """The API of Lasair-ZTF.

    Parameters
    ----------
    database
        What its tables hold.
    candidates
        Returns the light curve of an object, in the form of `object`'s answer; nothing of one that has none.
    accounts
        Who may call.
    topics
        The registered annotators.
    clock
        Returns Unix seconds.
    batch_annotate
        Whether `annotatelist` exists.
    """

    def __init__(
        self,
        database: Database,
        candidates: Callable[[str], Sequence[Mapping[str, object]]],
        accounts: Sequence[Account],
        topics: Sequence[Topic],
        clock: Callable[[], float],
        batch_annotate: bool,
    ) -> None:
        handlers: dict[str, Handler] = {
            "object": self._object,
            "cone": self._cone,
            "annotate": self._annotate,
            "objects": functools.partial(self._objects, True),
            "lightcurves": functools.partial(self._objects, False),
            "sherlock/object": lambda account, request: _NO_SHERLOCK,
            "sherlock/position": lambda account, request: _NO_SHERLOCK,
        }
        if batch_annotate:
            handlers["annotatelist"] = self._annotate_list
        super().__init__(handlers, database, FORMS, accounts, topics, clock)
        self._candidates = candidates

    def _object(self, account: Account, request: Request) -> Answer:
        form, problems = read_form(FORMS["object"], request)
        if problems:  # of a POST that is not right the view forgets to say so
            return Answer(400, problems) if request.method == "GET" else SERVER_ERROR
        if '"' in form["objectId"] and form["lasair_added"]:  # it stands between such quotes in Lasair's SQL
            raise RejectedError("1064 (42000): You have an error in your SQL syntax")
        answer = self._object_answer(form["objectId"], form["lasair_added"])
        return SERVER_ERROR if answer is None else Answer(200, answer)  # Lasair-ZTF looks for 'error' in None

    def _objects(self, lasair_added: bool, account: Account, request: Request) -> Answer:
        """Answer `objects` and `lightcurves`, which Lasair keeps for old clients."""
        form, problems = read_form(FORMS["objects"], request)
        if problems:
            return Answer(400, problems)
        answers = [self._object_answer(name.strip(), lasair_added) for name in str(form["objectIds"]).split(",")]
        return Answer(200, answers)

    def _object_answer(self, object_id: str, lasair_added: bool) -> dict[str, object] | None:
        now_jd = UNIX_EPOCH_JD + self._clock() / 86400
        return object_answer(self._database, object_id, self._candidates(object_id), now_jd, lasair_added)

    def _cone(self, account: Account, request: Request) -> Answer:
        form, problems = read_form(FORMS["cone"], request)
        if problems:
            return Answer(400, problems)
        found = self._near(form["ra"], form["dec"], form["radius"])
        nearest = found[0] if found else {}
        return Answer(200, {"nearest": nearest, "count": {"count": len(found)}}.get(form["requestType"], found))

    def _annotate(self, account: Account, request: Request) -> Answer:
        annotation, problems = read_form(FORMS["annotate"], request)
        if problems:
            return Answer(400, problems)
        topic = self._may_annotate(account, annotation["topic"])
        answer = {"status": "success", "query": self._database.annotate(annotation)}
        if topic.active > 1:
            message = {"objectId": annotation["objectId"], "annotator": annotation["topic"]}
            answer |= {"annotation_topic": _FAST_TOPIC, "message": message}
        return Answer(200, answer)
