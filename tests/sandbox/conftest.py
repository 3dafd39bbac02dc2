"""A running sandbox for all tests, one fresh person for each, and an app to answer them."""

import itertools

import pytest
import yaml
from playwright.sync_api import expect

from bot.sandbox.client import Sandbox
from tests.sandbox.kit import (
    MANIFEST,
    PEOPLE,
    Api,
    App,
    Wide,
    company,
    everything,
    opening,
    refused_as_declared,
)
from tests.support.browser import chromium, opened_page

_NUMBERS = itertools.count(
    3
)  # p1 and p2 are in channels and groups: whose test came first met that


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """What a sandbox with a handful of people is started with."""
    return _files(tmp_path_factory.mktemp("small"), people=9)


@pytest.fixture(scope="package")
def shared(tmp_path_factory):
    files = _files(tmp_path_factory.mktemp("shared"), people=PEOPLE)
    with Sandbox.start(**files, rate_factor=0, patience_factor=1) as it:
        yield it
        refused_as_declared(it)


@pytest.fixture(scope="package")
def wide(tmp_path_factory):
    """A sandbox whose app has asked for everything that there is."""
    folder = tmp_path_factory.mktemp("wide")
    files = _files(folder, people=PEOPLE) | {"manifest": folder / "manifest.yaml"}
    files["manifest"].write_text(yaml.safe_dump(everything()))
    with Sandbox.start(**files, rate_factor=0, patience_factor=1) as it:
        wide = Wide(it, files)
        yield wide
        refused_as_declared(it)
        wide.api.http.close()


def _files(folder, people):
    workspace = folder / "workspace.yaml"
    workspace.write_text(yaml.safe_dump(company(people)))
    return {"manifest": MANIFEST, "workspace": workspace}


@pytest.fixture
def sandbox(shared):
    yield shared
    shared.clear_faults()


@pytest.fixture(scope="package")
def caller(shared):
    api = Api(shared)
    yield api
    api.http.close()


@pytest.fixture
def api(sandbox, caller):
    assert caller.sandbox is sandbox
    return caller


@pytest.fixture
def app(sandbox, api):
    """An app with one link."""
    app = App(sandbox, api)
    app.link()
    yield app
    app.close()


@pytest.fixture
def person(sandbox):
    return sandbox.person(f"p{next(_NUMBERS)}")


@pytest.fixture
def colleague(sandbox):
    return sandbox.person(f"p{next(_NUMBERS)}")


@pytest.fixture
def show(app, person):
    """Let the person open a view with a command, and return it."""

    def show(view):
        app.on("/access", opening(app, view))
        assert person.command("/access").ok
        assert app.opened["ok"], app.opened
        return person.view()

    return show


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(sandbox, person, browser):
    """The page as the person sees it; afterwards it has said no error."""
    page, errors = opened_page(browser, f"{sandbox.url}/?as={person.name}")
    expect(page.locator(".head h1")).to_be_visible()
    yield page
    page.context.close()
    assert errors == []
