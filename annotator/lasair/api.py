"""Lasair's API: the `lasair` client, wrapped once, its failures mapped and its calls counted."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from annotator.annotation import Annotation
from annotator.errors import LasairApiError, LasairUnreachableError, QuotaError, RejectedError, UnauthorizedError
from annotator.lasair.budget import CallBudget
from annotator.surveys import Survey

MAX_REASON = 300
"""Characters of Lasair's own words that go into an error."""


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
        Seconds to wait for an answer.
    budget
        Counts every call, and raises QuotaError when the hour's calls are used up.

    All methods raise a subclass of :class:`~annotator.errors.LasairApiError`.
    """

    def __init__(self, survey: Survey, endpoint: str, token: str, timeout_s: float, budget: CallBudget) -> None:
        import lasair

        self.survey = survey
        self.endpoint = endpoint
        self._client = lasair.lasair_client(token, endpoint=endpoint, timeout=timeout_s)
        self.budget = budget

    def query(self, selected: str, tables: str, conditions: str, limit: int, offset: int = 0) -> list[dict[str, Any]]:
        """Run SQL; see Lasair's documentation for the three parts."""
        answer = self._call("query", self._client.query, selected, tables, conditions, limit, offset)
        if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
            raise LasairUnreachableError(f"query answered {_words(answer)} instead of a list of rows")
        return answer

    def object(self, object_id: str) -> Mapping[str, Any]:
        """Ask for all of one object: its candidates, and where their cutouts are."""
        answer = self._call("object", self._client.object, object_id)
        if not isinstance(answer, Mapping) or self.survey.object_id(answer) != object_id:
            raise LasairUnreachableError(f"object answered {_words(answer)} instead of {object_id}")
        return answer

    def annotate(self, annotations: Sequence[Annotation]) -> None:
        """Write annotations in one call; returning means that Lasair acknowledged all of them.

        A single one goes to `annotate`; several to `annotatelist`, which only Lasair for Rubin has, and which stores
        one after the other up to the first that it refuses.
        """
        fields = [
            {
                "topic": item.topic,
                "objectId": item.object_id,  # the client's word, for any survey
                "classification": item.classification,
                "version": item.version,
                "explanation": item.explanation,
                "classdict": dict(item.classdict),
                "url": item.url,
            }
            for item in annotations
        ]
        if len(fields) == 1:
            answer = self._call("annotate", self._client.annotate, **fields[0])
        else:
            answer = self._call("annotatelist", self._client.annotate_list, fields)
        if not isinstance(answer, Mapping) or answer.get("status") != "success":
            raise RejectedError(f"annotating answered {_words(answer)} instead of success")

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        import lasair
        import requests

        self.budget.spend(name)
        try:
            answer = method(*args, **kwargs)
        except lasair.LasairError as error:
            failure = _mapped(name, error.message)
            if isinstance(failure, QuotaError):
                self.budget.throttled()
            raise failure from error
        except requests.RequestException as error:
            reason = type(error).__name__
            raise LasairUnreachableError(f"no answer from {self.endpoint} to {name}: {reason}") from error
        if isinstance(answer, Mapping) and "error" in answer:
            raise LasairUnreachableError(f"{name} answered {_words(answer['error'])}")
        return answer


# The client has one exception and tells its cases apart only by their text (lasair 0.1.4).
_CASES: tuple[tuple[str, type[LasairApiError], str], ...] = (
    ("Unauthorized", UnauthorizedError, "Lasair does not accept the token: is LASAIR_TOKEN of this Lasair?"),
    ("Request limit exceeded", QuotaError, "Lasair says that the hour's calls are used up"),
    ("Request timed out", LasairUnreachableError, "no answer in time"),
    ("Bad Request", RejectedError, ""),
    ("Internal Server Error", RejectedError, ""),
    ("HTTP return code 5", LasairUnreachableError, ""),
)


def _mapped(name: str, message: str) -> LasairApiError:
    for beginning, kind, meaning in _CASES:
        if message.startswith(beginning):
            return kind(f"{name}: {meaning or _words(message)}")
    return RejectedError(f"{name}: {_words(message)}")


def _words(answer: object) -> str:
    """Lasair's answer as one short line without mark-up."""
    text = " ".join(re.sub(r"<[^>]*>", " ", str(answer)).split())
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."
