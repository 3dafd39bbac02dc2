"""A whole life against a target full of traps: what fits our SQL better than the server's own."""

import pytest

from bot.sandbox.postgres import DATABASES
from tests.e2e.life import STEPS, Life
from tests.support.postgres import own_cluster
from tests.support.story import story
from tests.support.trapped import sprung_in, trap

SEEN = ("asked", "approved", "offered", "extended", "ended")


@pytest.mark.timeout(240)
def test_whole_life_springs_no_trap():
    """A grantee planted an operator, pressed *Return now*, and owned the server."""
    with own_cluster() as cluster:
        trap(cluster)
        with story(cluster) as told:
            life = Life(told, told.person("marta"), told.person("priya"))
            for step, seen in zip(STEPS, SEEN, strict=True):
                getattr(life, step)()
                getattr(life, seen)()
            life.check()

        assert [sprung_in(cluster, name) for name in ("postgres", *DATABASES)] == [set()] * 3
