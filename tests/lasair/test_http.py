"""Every call has an end, in time and in size, whatever the server does; over real sockets."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from annotator.errors import NoAnswerError
from annotator.lasair import http
from annotator.lasair.http import Http, is_same_origin

TIMEOUT_S = 0.2
HANG_S = 120.0
HEAD = b"HTTP/1.1 200 OK\r\n"


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve each connection by a function; what it cannot send any longer is its end."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            answer(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def says_nothing(connection: socket.socket) -> None:
    connection.recv(9999)
    connection.recv(1)


def drips_its_status(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 2")
    drip(connection)


def drips_a_header(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"X-Long: ")
    drip(connection)


def drips_headers(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"X-More: x\r\n")
        time.sleep(0.02)


def drips_its_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    drip(connection)


def drips_a_body_of_known_length(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    drip(connection)


def drips_chunks(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\nx\r\n")
        time.sleep(0.02)


def says_continue_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def redirects_slowly(connection: socket.socket) -> None:
    time.sleep(0.15)
    redirects(connection)


def redirects(connection: socket.socket) -> None:
    connection.recv(9999)
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def sends_without_end(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    while True:
        connection.sendall(bytes(1_000_000))


def sends_headers_without_end(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"X-Many: " + bytes(60_000).replace(b"\0", b"x") + b"\r\n")


def hangs_up(connection: socket.socket) -> None:
    connection.recv(9999)


def breaks_off(connection: socket.socket) -> None:
    connection.recv(9999)
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nhalf")


def is_no_http(connection: socket.socket) -> None:
    connection.recv(9999)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        says_nothing,
        drips_its_status,
        drips_a_header,
        drips_headers,
        drips_its_body,
        drips_a_body_of_known_length,
        drips_chunks,
        says_continue_for_ever,
        sends_without_end,
        sends_headers_without_end,
        hangs_up,
        breaks_off,
        is_no_http,
    ],
)
@pytest.mark.parametrize("keep_alive", [False, True], ids=["closing", "staying open"])
def test_a_call_ends_with_no_answer_whatever_the_server_does(answer, keep_alive):
    started = time.monotonic()
    with serving(answer) as url, pytest.raises(NoAnswerError) as failure:
        Http(TIMEOUT_S, 100_000, keep_alive).call("POST", url, follow=is_same_origin, data={"a": 1})
    assert time.monotonic() - started < HANG_S
    assert "127.0.0.1" not in str(failure.value)


def test_redirects_come_to_an_end_in_number_and_in_time():
    with serving(redirects) as url:
        assert Http(TIMEOUT_S, 1000).call("GET", url, follow=is_same_origin).status == 302
    with serving(redirects_slowly) as url, pytest.raises(NoAnswerError, match=r"none within 0\.4 s"):
        Http(TIMEOUT_S, 1000).call("GET", url, follow=is_same_origin)


def test_a_handshake_that_does_not_end_is_ended():
    def greets_slowly(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(b"\x16\x03\x03\x3f\xff")  # a record of 16 kB
        drip(connection)

    started = time.monotonic()
    with serving(greets_slowly) as url, pytest.raises(NoAnswerError):
        Http(TIMEOUT_S, 1000).call("GET", url.replace("http:", "https:"))
    assert time.monotonic() - started < HANG_S


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch):
    asked = threading.Event()
    monkeypatch.setattr(http.socket, "getaddrinfo", lambda *_, **__: asked.wait(HANG_S))
    started = time.monotonic()
    with pytest.raises(NoAnswerError):
        Http(TIMEOUT_S, 1000).call("GET", "http://slow.example/")
    assert time.monotonic() - started < HANG_S
    asked.set()


def test_a_connection_that_stays_open_has_an_end_in_its_second_call_too():
    calls = []

    def hangs_the_second_time(connection: socket.socket) -> None:
        while connection.recv(9999):
            calls.append(connection)
            if len(calls) == 2:
                drips_headers(connection)
            connection.sendall(HEAD + b"Content-Length: 3\r\n\r\nyes")

    with serving(hangs_the_second_time) as url:
        calling = Http(TIMEOUT_S, 1000, keep_alive=True)
        assert calling.call("GET", url).body == b"yes"
        with pytest.raises(NoAnswerError):
            calling.call("GET", url)
    assert calls[0] is calls[1]


def test_no_thread_and_no_socket_is_left_of_calls_that_ended():
    with serving(hangs_up) as url:
        before = set(threading.enumerate())
        for _ in range(5):
            with pytest.raises(NoAnswerError):
                Http(TIMEOUT_S, 1000).call("GET", url)
        left = [thread for thread in threading.enumerate() if thread not in before and not thread.name.endswith(")")]
        for thread in left:
            thread.join(HANG_S)
        assert not [thread for thread in left if thread.is_alive()]


@pytest.mark.parametrize(
    ("url", "next_url", "is_same"),
    [
        ("https://a.example/api/", "https://a.example/moved/api/", True),
        ("https://a.example/api/", "https://a.example:443/api/", True),
        ("http://a.example/api/", "https://a.example/api/", True),
        ("https://a.example/api/", "http://a.example/api/", False),
        ("https://a.example/api/", "https://a.example:8443/api/", False),
        ("http://a.example:8000/api/", "https://a.example/api/", False),
        ("https://a.example/api/", "https://b.example/api/", False),
        ("https://a.example/api/", "https://a.example.b.example/api/", False),
        ("https://a.example/api/", "https://user@a.example/api/", False),
        ("https://a.example/api/", "ftp://a.example/api/", False),
        ("https://a.example/api/", "//b.example/api/", False),
    ],
)
def test_what_counts_as_the_same_host(url, next_url, is_same):
    assert is_same_origin(url, next_url) is is_same
