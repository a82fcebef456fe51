"""Lasair's API: the `lasair` client, wrapped once, each endpoint's answers read as what they have to be.

Calls are counted, and made only while the endpoint's breaker lets them through. Whatever a server answers, what comes
out is the answer in its own shape or a LasairApiError.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import lasair

from annotator.annotation import Annotation
from annotator.clock import Clock
from annotator.errors import (
    LasairApiError,
    LasairUnreachableError,
    QuotaError,
    RejectedError,
    SolarSystemObjectError,
)
from annotator.lasair.breaker import Breakers
from annotator.lasair.budget import CallBudget
from annotator.lasair.client import Client, words
from annotator.ledger.calls import WRITING
from annotator.surveys import Survey
from annotator.transient import Transient

T = TypeVar("T")

SURE_ROWS = 1000
"""Rows of a query that Lasair gives to everybody; it caps them by the account's level, and says so nowhere. Only an
answer that is shorter, and than what was asked for, is surely whole."""


class LasairApi:
    """One account's access to one Lasair.

    Parameters
    ----------
    survey
        Whose Lasair it is.
    endpoint
        URL ending in /api.
    token
        The account's token; it travels in a header and appears in no message.
    timeout_s
        Seconds without a sign of life; a whole call has twice as many.
    budget
        Counts every call, and raises QuotaError when the hour's calls are used up. Its clock hears Lasair's, if it is a
        :class:`~annotator.clock.Clock`.
    breakers
        Whether an endpoint is asked; None: those of the budget's ledger.

    All methods raise a subclass of :class:`~annotator.errors.LasairApiError`.
    """

    def __init__(
        self,
        survey: Survey,
        endpoint: str,
        token: str,
        timeout_s: float,
        budget: CallBudget,
        breakers: Breakers | None = None,
    ) -> None:
        self.survey = survey
        self.endpoint = endpoint
        self._client = Client(token, endpoint, timeout_s, self._hear)
        self.budget = budget
        self.breakers = breakers or Breakers(budget.ledger.breakers, budget.clock)

    def query(self, selected: str, tables: str, conditions: str, limit: int, offset: int = 0) -> list[dict[str, Any]]:
        """Run SQL; see Lasair's documentation for the three parts."""
        return self._call(
            "query", conditions, _rows, lambda: self._client.query(selected, tables, conditions, limit, offset)
        )

    def object(self, object_id: str) -> dict[str, Any]:
        """Ask for all of one object: its candidates, and where their cutouts are."""
        return self._call("object", object_id, self._of(object_id), lambda: self._object(object_id))

    def transient(self, object_id: str, parse: Callable[[object], Transient]) -> Transient:
        """Ask for all of one object, as it is parsed; what cannot be is no answer.

        Without a single detection it is a refusal: whatever Lasair lists has one, so that its light curves are away, or
        that of this object is.

        Raises
        ------
        SolarSystemObjectError
            If the answer says that it is one.
        """
        of_object = self._of(object_id)

        def read(answer: object) -> Transient | SolarSystemObjectError:
            whole = of_object(answer)
            if not any(_is_rows(value) for value in whole.values()):
                raise LasairUnreachableError(f"object answered {object_id} without a list of measurements")
            try:
                found = parse(whole)
            except LasairApiError:
                raise
            except SolarSystemObjectError as error:  # as good an answer as any
                return error
            except Exception as error:  # whatever the parser stumbled over
                kind = type(error).__name__
                raise LasairUnreachableError(
                    f"object answered what cannot be read: {kind}: {words(str(error))}"
                ) from error
            if found.light_curve is None or not found.light_curve.time_mjd.size:
                raise RejectedError(f"object answered {object_id} without a detection")
            return found

        found = self._call("object", object_id, read, lambda: self._object(object_id))
        if isinstance(found, SolarSystemObjectError):
            raise found
        return found

    def _object(self, object_id: str) -> object:
        if self.survey.object_with_additions:
            return self._client.object(object_id)
        return self._client.object(object_id, lite=False, lasair_added=False)

    def _of(self, object_id: str) -> Callable[[object], dict[str, Any]]:
        def of_object(answer: object) -> dict[str, Any]:
            if not isinstance(answer, dict) or self.survey.object_id(answer) != object_id:
                raise LasairUnreachableError(f"object answered {words(answer)} instead of {object_id}")
            return answer

        return of_object

    def annotate(self, annotations: Sequence[Annotation]) -> None:
        """Write annotations in one call; returning means that Lasair acknowledged all of them.

        A single one goes to `annotate`; several to `annotatelist`, which only Lasair for Rubin has, and which stores
        one after the other up to the first that it refuses. An object id beyond all ids is sent to nobody: Lasair for
        Rubin takes it, and then dies of it with everybody's annotations.
        """
        for item in annotations:
            if not self.survey.object_id({self.survey.id_column: item.object_id}):
                raise RejectedError(f"annotate: expected an object id below 2^63, found {words(item.object_id)}")
        fields = [
            {
                "topic": item.topic,
                "objectId": self.survey.id_value(item.object_id),  # the client's word, for any survey
                "classification": item.classification,
                "version": item.version,
                "explanation": item.explanation,
                "classdict": dict(item.classdict),
                "url": item.url,
            }
            for item in annotations
        ]
        subject = annotations[0].object_id
        if len(fields) == 1:
            self._call("annotate", subject, _success, lambda: self._client.annotate(**fields[0]))
        else:
            self._call("annotatelist", subject, _success, lambda: self._client.annotate_list(fields))

    def _call(self, name: str, subject: str, read: Callable[[object], T], ask: Callable[[], object]) -> T:
        """Make one call, unless its endpoint is left alone just now or the hour's calls are used up."""
        try:
            with self.breakers["annotate" if name in WRITING else name].call(subject):
                self.budget.spend(name)
                return read(self._answer(name, ask))
        finally:
            self.breakers.save()

    def _answer(self, name: str, ask: Callable[[], object]) -> object:
        try:
            return ask()
        except QuotaError:
            self.budget.throttled()
            raise
        except lasair.LasairError as error:  # the client's own checks of what it is to send
            raise RejectedError(f"{name}: {words(error.message)}") from error

    def _hear(self, lasairs_s: float) -> None:
        if isinstance(self.budget.clock, Clock):
            self.budget.clock.hear("Lasair", lasairs_s)


def _rows(answer: object) -> list[dict[str, Any]]:
    if not _is_rows(answer):
        raise LasairUnreachableError(f"query answered {words(answer)} instead of a list of rows")
    return answer


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _success(answer: object) -> None:
    if not isinstance(answer, dict) or "status" not in answer:
        raise LasairUnreachableError(f"annotating answered {words(answer)} instead of a status")
    if answer["status"] != "success":
        raise RejectedError(f"annotating answered {words(answer)} instead of success")
