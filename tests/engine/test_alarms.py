"""What administrators are told, in words."""

import pytest

from engine import alarms
from engine.inventory import IntegrationId
from engine.request import RequestId
from tests.support.stored import START

SYSTEM = IntegrationId("pg")
WHY = "The login “lk_marta” is there, but this installation of Latchkey did not make it."


@pytest.mark.parametrize(
    "said",
    [
        alarms.poisoned(RequestId(1), WHY).sentence,
        alarms.unwoken(1, WHY).sentence,
        alarms.out_of_order("Production", SYSTEM, WHY, set_up=True),
        alarms.ends_wait("Production", SYSTEM, 1, WHY),
        alarms.audit_not_whole([WHY], START).sentence,
    ],
)
def test_a_sentence_that_quotes_another_has_one_full_stop(said):
    """An alarm read “did not make it..”."""
    assert "did not make it." in said
    assert ".." not in said
