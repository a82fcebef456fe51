"""Everything that this package raises on purpose.

::

    AhaError
    ├── ConfigError               the configuration, the command line or the environment; exit status 2
    ├── RecordError               a record cannot be understood: refused by name, the rest goes on
    │   └── SolarSystemObjectError    all that was detected is a known solar-system object
    ├── MissingModalityError      the object lacks what one modality needs; the message is the reason
    │   ├── NoStampError              the host of stamps says that there is none
    │   └── DamagedFileError          its file is broken off or damaged: the file, not the object, lacks it
    ├── ModelError                a model is damaged, changed, or does not reproduce its references
    ├── TooFewError               there are too few objects to measure anything by
    ├── AnnotationError           an annotation that Lasair's SQL would not survive
    ├── TableError                a table that somebody gives cannot be read, or lacks the columns that are needed
    ├── SourceError               objects cannot be read from where the configuration says
    ├── GeneralFaultError         nearly all of many failed alike: the fault is not theirs, none is refused
    ├── LedgerError               the ledger cannot be opened, or is of another version
    │   ├── LedgerBusyError       another pass holds the ledger
    │   ├── JudgedMeanwhileError  somebody else has judged the object since the page was made that is judged by
    │   ├── LedgerValueError      a value that the database has no place for
    │   ├── LedgerMissingError    there is no ledger, or an empty one, where one is expected
    │   └── LedgerOlderError      it is of an older release, and was opened to read only
    ├── LasairApiError            Lasair's answer was not a success
    │   ├── LasairUnreachableError    no answer, or a broken one: the same call may succeed later
    │   │   └── NotNowError               several were of no use in a row: the endpoint is left alone for a while
    │   ├── UnauthorizedError         401: the token is not accepted
    │   ├── QuotaError                429, or the hour's calls are used up here
    │   └── RejectedError             400, 404, 405, 500: this request is refused, others may pass
    ├── NoAnswerError             a server gave no whole answer within the time and size that it has
    └── WebhookError              a message could not be posted
"""


class AhaError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(AhaError):
    """The configuration, the command line or the environment is wrong."""


class RecordError(AhaError):
    """A record cannot be understood."""


class SolarSystemObjectError(RecordError):
    """All that was detected of the object is a known solar-system object, passing by."""


class MissingModalityError(AhaError):
    """The object lacks what a modality needs; the message is the reason, for people."""


class NoStampError(MissingModalityError):
    """The host of stamps says that there is none: of this epoch or, where something is wrong with it, of any."""


class DamagedFileError(MissingModalityError):
    """A file is broken off or damaged; another copy of it may be whole."""


class ModelError(AhaError):
    """A model is damaged, changed, or does not reproduce its references."""


class TooFewError(AhaError):
    """There are too few objects to measure anything by."""


class AnnotationError(AhaError):
    """An annotation would break Lasair's contract or its SQL."""


class TableError(AhaError):
    """A table that somebody gives cannot be read, or lacks the columns that are needed."""


class SourceError(AhaError):
    """Objects cannot be read from the configured source."""


class GeneralFaultError(AhaError):
    """Nearly all records of a batch, or all of a modality, failed alike; the fault is not theirs."""


class LedgerError(AhaError):
    """The ledger cannot be opened, or was written by another version."""


class LedgerBusyError(LedgerError):
    """Another pass holds the ledger."""


class JudgedMeanwhileError(LedgerError):
    """Somebody else has judged the object since the page was made that one judges by; the message says who and how."""


class LedgerValueError(LedgerError):
    """A value that the database has no place for; others can be written."""


class LedgerMissingError(LedgerError):
    """There is no ledger, or an empty one, where one is expected."""


class LedgerOlderError(LedgerError):
    """The ledger is of an older release: to read only it is not brought up to date."""


class LasairApiError(AhaError):
    """Lasair's answer was not a success."""


class LasairUnreachableError(LasairApiError):
    """No answer, or a broken one; the same call may succeed later."""


class NotNowError(LasairUnreachableError):
    """The endpoint answers nothing of use just now, whatever it is asked about; it is left alone for a while."""


class UnauthorizedError(LasairApiError):
    """The token is not accepted."""


class QuotaError(LasairApiError):
    """The hour's calls are used up."""


class RejectedError(LasairApiError):
    """Lasair refuses this request; others may pass."""


class NoAnswerError(AhaError):
    """A server gave no whole answer within the time and the size that it has; the message names no URL."""


class WebhookError(AhaError):
    """A message could not be posted."""
