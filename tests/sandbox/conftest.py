"""A running sandbox for all tests, one fresh person for each, and an app to answer them."""

import itertools

import pytest
import yaml

from bot.sandbox.client import Sandbox
from tests.sandbox.kit import MANIFEST, Api, App, company, opening

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The manifest, and a workspace file of many people."""
    path = tmp_path_factory.mktemp("sandbox") / "workspace.yaml"
    path.write_text(yaml.safe_dump(company()))
    return {"manifest": MANIFEST, "workspace": path}


@pytest.fixture(scope="session")
def shared(files):
    with Sandbox.start(**files, clock=files["workspace"].with_name("clock"), rate_factor=0) as it:
        yield it


@pytest.fixture
def sandbox(shared):
    yield shared
    shared.clear_faults()


@pytest.fixture
def api(sandbox):
    api = Api(sandbox)
    yield api
    api.http.close()


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
