"""A Kafka broker that goes wrong when told to.

librdkafka's mock cluster can do more than its Python binding shows: these are the functions of `rdkafka_mock.h`, called
directly in the library that the binding has loaded.
"""

import ctypes
from collections.abc import Sequence
from typing import Self

from annotator.sandbox.kafka import StreamBroker

FETCH, OFFSET_COMMIT, FIND_COORDINATOR = 1, 8, 10
"""Requests, by their numbers in Kafka's protocol."""

_FUNCTIONS = {
    "rd_kafka_conf_new": (ctypes.c_void_p, []),
    "rd_kafka_conf_set": (ctypes.c_int, [ctypes.c_void_p] + [ctypes.c_char_p] * 3 + [ctypes.c_size_t]),
    "rd_kafka_new": (ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]),
    "rd_kafka_destroy": (None, [ctypes.c_void_p]),
    "rd_kafka_mock_cluster_new": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [ctypes.c_void_p]),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, [ctypes.c_void_p]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_topic_create": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]),
    "rd_kafka_mock_topic_delete": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
    "rd_kafka_mock_broker_set_down": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_broker_set_up": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int32]),
    "rd_kafka_mock_push_request_errors_array": (
        None,
        [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
    ),
    "rd_kafka_mock_clear_request_errors": (None, [ctypes.c_void_p, ctypes.c_int16]),
}


def _library() -> ctypes.CDLL:
    import confluent_kafka.cimpl

    library = ctypes.CDLL(confluent_kafka.cimpl.__file__)  # finds what the binding itself is linked to
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class FaultyBroker(StreamBroker):
    """A :class:`StreamBroker` of one broker that lets readers in at once, and goes wrong when told to."""

    def __enter__(self) -> Self:
        self._library = _library()
        reason = ctypes.create_string_buffer(512)
        settings = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(settings, b"log_level", b"0", reason, len(reason))
        self._client = self._library.rd_kafka_new(0, settings, reason, len(reason))
        assert self._client, reason.value
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        self._call("group_initial_rebalance_delay_ms", 0)
        return super().__enter__()

    def __exit__(self, *exc_info) -> None:
        super().__exit__(*exc_info)
        self._call("cluster_destroy")
        self._library.rd_kafka_destroy(self._client)

    def _settings(self) -> dict[str, object]:
        settings = {name: value for name, value in super()._settings().items() if not name.startswith("test.")}
        return settings | {"bootstrap.servers": self._call("cluster_bootstraps").decode()}

    def _call(self, name: str, *arguments: object) -> object:
        return getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments)

    def create_topic(self, topic: str, n_partitions: int = 4) -> None:
        assert self._call("topic_create", topic.encode(), n_partitions, 1) == 0

    def delete_topic(self, topic: str) -> None:
        assert self._call("topic_delete", topic.encode()) == 0

    def go_down(self) -> None:
        """Cut all connections, and take no new ones."""
        assert self._call("broker_set_down", 1) == 0

    def come_back(self) -> None:
        assert self._call("broker_set_up", 1) == 0

    def refuse(self, request: int, error: int, times: int = 10_000) -> None:
        """Answer the next requests of a kind with an error."""
        self.answer(request, [error] * times)

    def answer(self, request: int, errors: Sequence[int]) -> None:
        self._call("push_request_errors_array", request, len(errors), (ctypes.c_int * len(errors))(*errors))

    def relent(self, request: int) -> None:
        """Refuse requests of a kind no longer."""
        self._call("clear_request_errors", request)
