"""The HTTP server beside clients that say nothing, little, or too much.

Nothing that a client withholds may keep a file of this process, or a place, for longer than the
server waits. Connections of 1,100 that said nothing kept access alive for as long as they stayed.
"""

import resource
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bot.operations import open_files, server
from bot.operations.server import Server, Servers
from bot.runtime.faults import Faults
from bot.sandbox import ports
from tests.support import machine, web
from tests.support.silent import Silent
from tests.support.waiting import wait_until

SOON = 0.3  # seconds that the server waits for a client, where that is what a test is about
LONG = 600.0  # where it is not
PATIENCE = 30.0  # seconds, on a machine that has nothing else to do


def patience() -> float:
    return PATIENCE * machine.factor()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


class Held:
    """An answer that takes until it is let go."""

    def __init__(self):
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def answer(self, _request):
        self.begun.release()
        self.go.wait(patience())
        return PlainTextResponse("held")


async def took(request):
    with suppress(ClientDisconnect):
        return PlainTextResponse(f"{len(await request.body())}")
    return PlainTextResponse("gone")


def large(_request):
    return PlainTextResponse("x" * 50_000_000)


@contextmanager
def serving(held=None, **given):
    ways = ["GET", "POST"]
    routes = [
        Route("/", took, methods=ways),
        Route("/held", (held or Held()).answer),
        Route("/large", large),
    ]
    made = Server(Starlette(routes=routes), "127.0.0.1", 0, **given)
    made.start()
    try:
        yield made
    finally:
        assert made.stop()


@pytest.fixture(scope="module")
def hasty():
    """A server that soon has waited long enough."""
    with serving(within=SOON) as made:
        yield made


@pytest.fixture(scope="module")
def patient():
    with serving(within=LONG) as made:
        yield made


@pytest.fixture
def connect():
    with ExitStack() as held:

        def connect(to, said=b""):
            made = held.enter_context(socket.create_connection(("127.0.0.1", to.port), patience()))
            made.sendall(said)
            return made

        yield connect


def read(connection):
    """Read until it is closed, or an answer is whole."""
    got = b""
    try:
        while part := connection.recv(4096):
            got += part
            head, end, body = got.partition(b"\r\n\r\n")
            length = next((n for n in head.split(b"\r\n") if b"content-length" in n.lower()), None)
            if end and length and len(body) >= int(length.partition(b":")[2]):
                break
    except ConnectionError:
        pass
    return got


def status(answer):
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        HEAD + b"Content-Length: 5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_who_does_not_finish_what_they_say_is_cut_off(connect, hasty, said):
    assert read(connect(hasty, said)) == b""
    wait_until(lambda: not hasty.connections)


def test_each_answer_says_that_its_connection_ends_with_it(connect):
    """A proxy that kept one posted a click into it just when it was closed: the click was lost."""
    with serving(within=LONG) as served:
        made = connect(served, GET)
        answer = read(made).lower()
        assert answer.endswith(b"0")
        assert b"\r\nconnection: close\r\n" in answer
        assert read(made) == b""


@pytest.mark.parametrize(
    ("begun", "drop"),
    [
        (b"GET / HTTP/1.1\r\nx: ", b"y"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["head", "body", "chunks"],
)
def test_who_drips_is_cut_off_like_who_is_silent(connect, hasty, begun, drop):
    """A byte now and then kept a connection open for ever."""
    connection = connect(hasty, begun)
    connection.settimeout(0.02)
    wait_until(lambda: not drips(connection, drop))


def drips(connection, drop):
    """Return whether it is still listened to."""
    try:
        connection.sendall(drop)
        return bool(connection.recv(1))
    except TimeoutError:
        return True
    except ConnectionError:
        return False


LARGE, HELD = GET.replace(b"/", b"/large", 1), GET.replace(b"/", b"/held", 1)


def test_who_does_not_take_in_the_answer_is_cut_off(connect, hasty):
    connect(hasty, LARGE)
    wait_until(lambda: hasty.connections)
    wait_until(lambda: not hasty.connections)


def test_who_does_not_take_in_the_answer_gives_way(connect):
    with serving(most=2, within=LONG) as served:
        deaf = [connect(served, LARGE) for _ in range(2)]
        wait_until(lambda: served.connections == 2)

        assert read(connect(served, GET)).endswith(b"0")

        for each in deaf:
            each.close()


def test_an_answer_that_does_not_come_holds_no_place_for_ever(connect, monkeypatch):
    monkeypatch.setattr(server, "ANSWER_WITHIN", SOON)
    held = Held()
    with serving(held, within=LONG) as served:
        assert read(connect(served, HELD)) == b""
        held.go.set()


def test_who_is_slow_within_the_time_is_answered(connect, patient):
    connection = connect(patient, HEAD + b"Content-")
    connection.sendall(b"Length: 5\r\n\r\nab")
    connection.sendall(b"cde")
    assert read(connection).endswith(b"5")


def test_with_no_room_who_has_waited_longest_gives_way(connect):
    with serving(most=4, within=LONG) as served:
        silent = [connect(served) for _ in range(9)]

        assert read(connect(served, GET)).endswith(b"0")

        assert [read(each) for each in silent[:6]] == [b""] * 6
        assert served.connections <= 4


def test_who_is_being_answered_gives_way_to_nobody(connect):
    held = Held()
    with serving(held, most=3, within=LONG) as served:
        asked = [connect(served, HELD) for _ in range(3)]
        for _ in asked:
            assert held.begun.acquire(timeout=patience())
        newcomer = connect(served, GET)
        assert served.connections == 3

        held.go.set()

        assert [read(each)[-4:] for each in asked] == [b"held"] * 3
        assert read(newcomer).endswith(b"0")


ALONE = """
import os, resource, sys, time

import structlog
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bot.operations.server import Server

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))
routes = [Route("/", lambda _: PlainTextResponse("0"))]
served = Server(Starlette(routes=routes), "127.0.0.1", 0, most={most}, within=600)
served.start()
print(served.port, flush=True)
held = []
for line in sys.stdin:
    match line.strip():
        case "files":
            print(len(os.listdir("/proc/self/fd")), flush=True)
        case "seconds":
            print(time.process_time(), flush=True)
        case "none left":
            try:
                while True:
                    held.append(open(os.devnull))
            except OSError:
                print(len(held), flush=True)
        case "some left":
            held.clear()
            print(0, flush=True)
"""


class Alone:
    """A server in a process of its own, of which a test may count the files and the seconds: in
    this one others open and close what they like.
    """

    def __init__(self, folder, most, files):
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", ALONE.format(most=most, files=files)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.port = int(self._process.stdout.readline())

    def ask(self, what):
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self):
        self._process.communicate()


def test_connections_take_no_more_files_than_they_may(connect, tmp_path):
    """All that came were accepted before one was looked at: for a moment no file was left."""
    most = 8
    with closing(Alone(tmp_path, most, 1024)) as served:
        assert status(read(connect(served, GET))) == 200  # all that it needs is open
        before, seen = served.ask("files"), []
        with Silent("127.0.0.1", served.port, 300):
            probe = connect(served, GET)
            seen.append(served.ask("files"))
            assert status(read(probe)) == 200
            seen.append(served.ask("files"))

        assert max(seen) <= before + most + 1


def test_without_a_file_left_the_door_waits_and_goes_on(connect, tmp_path):
    """Each try was made 2,048 times over, with a line of the log and a timer for each.

    And who got the last file was cut off before what it asked was read.
    """
    with closing(Alone(tmp_path, 128, 64)) as served:
        resting = connect(served)
        assert status(read(connect(served, GET))) == 200
        assert served.ask("none left")
        silent = [connect(served) for _ in range(20)]
        asking = connect(served, GET)
        began = served.ask("seconds")
        # It gave its own file back to those who are short of one.
        assert read(resting) == b""
        threading.Event().wait(1)
        assert served.ask("seconds") - began < 0.5
        assert status(read(asking)) == 200
        first = silent[:15]  # for the last there may be a file after all
        assert [read(each) for each in first] == [b""] * len(first)

        served.ask("some left")

        assert status(read(connect(served, GET))) == 200
    assert served.log.read_bytes().count(b"no connection can be accepted") == 1


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"transfer-encoding: Chunked\r\ncontent-length: 0\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding : chunked\r\n",
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(connect, patient, head):
    """With both, one reader goes by the length and the next by the chunks: what is between is a
    request that nobody has seen.
    """
    smuggled = b"0\r\n\r\n" + GET
    answer = read(connect(patient, HEAD + head + b"\r\n" + smuggled))

    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1") == 1


def test_chunks_in_the_old_version_are_refused(connect, patient):
    said = HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert status(read(connect(patient, said))) == 400


def test_chunks_alone_and_a_length_alone_are_answered(connect, patient):
    chunks = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    assert read(connect(patient, chunks)).endswith(b"5")
    assert read(connect(patient, HEAD + b"Content-Length: 5\r\n\r\nabcde")).endswith(b"5")


def test_a_head_without_end_is_refused(connect, patient):
    connection = connect(patient)
    try:
        connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * 400_000)
    except ConnectionError:
        return  # it was cut off before all was said
    assert read(connection)[9:12] in {b"400", b""}


def test_a_head_that_is_too_large_is_refused_though_it_comes_at_once(connect, patient):
    """Only a head that came in parts was measured."""
    said = b"GET / HTTP/1.1\r\nHost: x\r\nx: " + b"y" * (server.LARGEST_HEAD + 1) + b"\r\n\r\n"
    assert status(read(connect(patient, said))) == 400


def test_who_asks_and_says_no_more_is_answered(connect):
    """Who had closed their half of the connection got no answer."""
    held = Held()
    with serving(held, within=LONG) as served:
        connection = connect(served, GET.replace(b"/", b"/held", 1))
        assert held.begun.acquire(timeout=patience())
        connection.shutdown(socket.SHUT_WR)
        held.go.set()
        assert read(connection).endswith(b"held")
        assert connection.recv(1) == b""


def test_what_is_no_http_fills_no_log(connect, patient, caplog):
    """Each was a line: some thousand in a second, beside which others were lost."""
    for _ in range(20):
        assert status(read(connect(patient, b"no sense\r\n\r\n"))) == 400
    assert not caplog.records


def test_what_makes_no_sense_after_an_early_answer_leaves_no_trace_in_the_log(
    connect, patient, caplog
):
    """The library answered a second time, and logged that it could not."""
    said = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = connect(patient, said)
    assert status(read(connection)) == 404
    connection.sendall(b"no length\r\n")
    assert read(connection) == b""
    assert not [line for line in caplog.records if line.exc_info]


def test_an_end_comes_though_clients_are_silent(connect):
    with serving(within=LONG) as served:
        silent = [
            connect(served, said) for said in (b"", b"GET", HEAD + b"Content-Length: 5\r\n\r\n")
        ]
        wait_until(lambda: served.connections == 3)
    assert [read(each) for each in silent] == [b""] * 3


@pytest.mark.parametrize(
    ("limit", "connections"), [(64, 8), (256, 32), (1024, 128), (1_000_000, 128), (-1, 128)]
)
def test_most_files_are_left_to_the_duty(monkeypatch, limit, connections):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, -1))
    assert open_files.for_a_door() == connections


@pytest.mark.parametrize(
    ("before", "after"),
    [((256, -1), (1024, -1)), ((256, 512), (512, 512)), ((256, 256), None), ((4096, -1), None)],
)
def test_who_may_have_more_files_takes_them_at_the_start(monkeypatch, before, after):
    """A shell of macOS gives 256, and lets each have more."""
    taken = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: taken.append(limits))
    open_files.raise_limit()
    assert taken == ([after] if after else [])


def test_an_address_that_is_taken_is_tried_again_and_the_others_are_served():
    """`run` gave up, and what was to end did not."""
    faults = Faults()
    servers, served = Servers(faults), Starlette(routes=[Route("/", took)])
    theirs = socket.create_server(("127.0.0.1", 0))
    taken, (free,) = theirs.getsockname()[1], ports.free()
    servers.add("TAKEN", served, ("127.0.0.1", taken))
    servers.add("FREE", served, ("127.0.0.1", free))

    servers.serve()

    assert answers(free)
    (sentence,) = servers.missed(0)
    assert faults() == {"TAKEN": sentence}
    assert f"TAKEN: nothing can listen on 127.0.0.1:{taken}: " in sentence
    assert not servers.missed(3600)

    theirs.close()
    servers.serve()

    assert answers(taken)
    assert not servers.missed(0)
    assert not faults()
    assert servers.stop(lambda: PATIENCE)


def test_what_is_stopped_listens_nowhere():
    (port,) = ports.free()
    servers = Servers(Faults())
    servers.add("LATE", Starlette(), ("127.0.0.1", port))
    assert servers.stop(lambda: PATIENCE)

    servers.serve()

    socket.create_server(("127.0.0.1", port)).close()


def answers(port):
    return web.get(f"http://127.0.0.1:{port}/").is_success
