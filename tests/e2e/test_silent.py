"""Connections that say nothing, more of them than the bot may open files: access ends on time."""

import sys
from contextlib import ExitStack
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest

from bot.sandbox import house
from engine.request import State
from tests.support import web
from tests.support.silent import Silent
from tests.support.story import story

FILES = 256
CONNECTIONS = 350  # at each address
PATIENCE = 60.0  # seconds


@pytest.fixture(params=["socket", "http"])
def short(cluster, request, tmp_path, monkeypatch):
    """A house whose bot may open few files; `socket`: its doors are only for health."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -n {FILES}\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)
    monkeypatch.setattr(house, "sys", SimpleNamespace(executable=str(python)))
    with story(cluster, forked=False, http=request.param == "http") as told:
        yield told
        told.clear()


def test_access_ends_on_time_beside_silent_connections(short):
    """For as long as they stayed no file was left: access lived on, and no probe was answered."""
    marta = short.person("marta")
    request = short.active(marta, short.person("priya"))
    login = short.credentials(marta, request.code)
    doors = [short.house.url, short.house.probes]

    with ExitStack() as silent:
        for door in doors:
            where = urlsplit(door)
            silent.enter_context(Silent(where.hostname, where.port, CONNECTIONS))
        short.house.sandbox.advance(3 * 3600)

        short.wait(request.code, State.EXPIRED, timeout=PATIENCE)
        assert not short.works(login)
        assert not short.privileges()
        short.until(lambda: "request" in marta.command("/access", "help").text, "an answer")
        for door in doors:
            short.until(lambda door=door: answers(door), f"{door} answers", timeout=PATIENCE)

    short.until(lambda: all(answers(door) for door in doors), "it is as before")


def answers(door):
    try:
        return web.get(f"{door}/healthz").is_success
    except httpx.TransportError:
        return False
