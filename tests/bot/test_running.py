"""Running access: credentials, extension, return, end."""

import psycopg
import pytest

from engine.request import State
from tests.support.story import CUSTOMERS, ORDERS


def test_the_credentials_open_what_was_granted_and_nothing_else(told):
    """F16: what was called active could not be used yet."""
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    with told.log_in(told.credentials(marta, request.code)) as session:
        assert session.execute("select count(*) from shop.customers").fetchone() == (200,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select * from shop.orders")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("update shop.customers set name = 'x'")


def test_a_saved_password_is_shown_to_nobody_again(told):
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    password = told.credentials(marta, request.code)["password"]
    told.press(marta, request.code, "credentials")
    modal = marta.wait_view("How to log in")
    assert password not in modal.text
    assert "not kept" in modal.text
    seen = [e for e in told.house.sandbox.journal() if password in str(e)]
    assert {e["method"] for e in seen if e["kind"] == "call"} <= {"views.open", "views.update"}
    assert {e["what"] for e in seen if e["kind"] == "delivery"} <= {"block_actions"}
    assert password not in told.house.bot.log


def test_a_password_that_is_lost_can_be_reset(told):
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    old = told.credentials(marta, request.code)
    told.press(marta, request.code, "credentials")
    modal = marta.wait_view("How to log in")
    modal.click("credentials_reset")
    modal = marta.wait_view(where=lambda v: "credentials_saved" in str(v))
    lines = (line.partition(":") for line in modal.text.splitlines())
    new = next(value.strip() for label, _, value in lines if label == "Password")
    told.until(lambda: told.works({**old, "password": new}), "the new password works")
    with pytest.raises(psycopg.OperationalError):
        told.log_in(old)


def test_only_the_grantee_sees_credentials(told):
    request = told.active(told.person("marta"), told.person("priya"))
    for name in ("priya", "diego"):
        who = told.person(name)
        who.raw_action({"actions": [{"action_id": "credentials", "value": str(request.id)}]})
        assert "Only who has the access" in who.wait_view().text


def confirmed_beyond(request, end):
    return request.ends_at > end and request.end_before is None


def test_another_persons_reset_button_does_nothing(told):
    marta, diego = told.person("marta"), told.person("diego")
    request = told.active(marta, told.person("priya"))
    login = told.credentials(marta, request.code)
    account = request.grants[0].account
    told.press(marta, request.code, "credentials")
    view = marta.wait_view("How to log in").raw
    forged = {"actions": [{"action_id": "credentials_reset", "value": str(account)}], "view": view}
    diego.raw_action(forged)
    # What a reset would have given the access loop to do on this account is done before this.
    told.press(marta, request.code, "extend")
    told.until(lambda: confirmed_beyond(told.request(request.code), request.ends_at), "the new end")
    told.log_in(login).close()


def test_an_extension_keeps_user_password_and_session(told):
    """F13: an extension dropped the session, or left a gap."""
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    login = told.credentials(marta, request.code)
    with told.log_in(login) as session:
        told.press(marta, request.code, "extend")
        told.card(marta, request.code, "1 left")
        longer = told.until(
            lambda: (r := told.request(request.code)).ends_at > request.ends_at and r, "the end"
        )
        assert (longer.ends_at - request.ends_at).total_seconds() == 30 * 60
        assert session.execute("select 1").fetchone() == (1,)
        told.log_in(login).close()


def test_a_button_pressed_twice_extends_once(told):
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    click = {"actions": [{"action_id": "extend", "value": f"{request.id}/1"}]}
    told.at_once([lambda: marta.raw_action(click)] * 3)
    told.until(lambda: told.request(request.code).extensions_used == 1, "one extension")
    assert told.request(request.code).extensions_used == 1
    assert "extended already" in marta.wait_view("Not extended").text


def test_extensions_run_out(told):
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    for number in (1, 2):
        click = {"actions": [{"action_id": "extend", "value": f"{request.id}/{number}"}]}
        marta.raw_action(click)
    card = told.card(marta, request.code, "active", without="extend")
    assert [action for action, _, _ in card.buttons] == ["credentials", "more_time", "return"]
    assert told.request(request.code).extensions_left == 0
    marta.raw_action({"actions": [{"action_id": "extend", "value": f"{request.id}/3"}]})
    assert "no extension left" in marta.wait_view("Not extended").text


def test_more_time_that_is_approved_before_the_end_leaves_no_gap(told):
    marta, priya = told.person("marta"), told.person("priya")
    first = told.active(marta, priya)
    login = told.credentials(marta, first.code)
    for number in (1, 2):
        click = {"actions": [{"action_id": "extend", "value": f"{first.id}/{number}"}]}
        marta.raw_action(click)
    told.until(
        lambda: (r := told.request(first.code)).extensions_left == 0 and not r.end_before, "the end"
    )
    with told.log_in(login) as session:
        told.house.sandbox.advance(110 * 60)
        told.press(marta, first.code, "more_time")
        form = marta.wait_view("Request access")
        assert told.send(form).action == "close"
        (second,) = (r for r in told.desk.requests(live=True) if r.id != first.id)
        told.decide(priya, second.code)
        told.wait(second.code, State.ACTIVE)

        told.house.sandbox.advance(10 * 60)

        told.wait(first.code, State.EXPIRED)
        assert second.code in told.card(marta, first.code, "still held").text
        assert session.execute("select count(*) from shop.customers").fetchone() == (200,)
        told.log_in(login).close()


def test_returned_access_is_gone_with_its_sessions(told):
    """F8: an open session outlived the revoke."""
    marta = told.person("marta")
    request = told.active(marta, told.person("priya"))
    login = told.credentials(marta, request.code)
    with told.log_in(login) as session:
        told.press(marta, request.code, "return")
        told.wait(request.code, State.RETURNED)
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    with pytest.raises(psycopg.OperationalError):
        told.log_in(login)
    assert not {p for p in told.privileges() if p[0] == login["user"]}
    assert told.card(marta, request.code, "returned", button="request_again")


def test_overlapping_access_stays_until_the_last_of_it_ends(told):
    """F12: the first of two to end took the access away for both."""
    marta, priya = told.person("marta"), told.person("priya")
    first = told.active(marta, priya, path=CUSTOMERS)
    second = told.active(marta, priya, path=CUSTOMERS, duration="2h")
    login = told.credentials(marta, second.code)
    with told.log_in(login) as session:
        told.press(marta, first.code, "return")
        told.wait(first.code, State.RETURNED)
        assert session.execute("select count(*) from shop.customers").fetchone() == (200,)
        assert second.code in told.card(marta, first.code, "still held").text
        told.press(marta, second.code, "return")
        told.wait(second.code, State.RETURNED)
    assert not {p for p in told.privileges() if p[0] == login["user"]}


def test_one_of_two_accesses_ends_and_the_session_keeps_the_other(told):
    marta, priya = told.person("marta"), told.person("priya")
    first = told.active(marta, priya, path=CUSTOMERS)
    second = told.active(marta, priya, path=ORDERS)
    with told.log_in(told.credentials(marta, second.code)) as session:
        told.press(marta, first.code, "return")
        told.wait(first.code, State.RETURNED)
        assert session.execute("select count(*) from shop.orders").fetchone() == (500,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select * from shop.customers")


def test_who_leaves_loses_what_they_have(told):
    henrik = told.person("henrik")
    request = told.active(henrik, told.person("priya"))
    login = told.credentials(henrik, request.code)
    with told.deactivated("henrik"):
        told.wait(request.code, State.REVOKED)
        with pytest.raises(psycopg.OperationalError):
            told.log_in(login)
        told.until(lambda: login["user"] not in told.logins(), "the login is dropped")
    again = told.active(henrik, told.person("priya"))
    assert told.works(told.credentials(henrik, again.code))


def test_access_that_was_there_before_stays_when_the_request_ends(told):
    """Latchkey ends only what it gave."""
    chloe, priya = told.person("chloe"), told.person("priya")
    first = told.active(chloe, priya, path=CUSTOMERS)
    login = told.credentials(chloe, first.code)["user"]
    with psycopg.connect(told.house.cluster.superuser_dsn("orders"), autocommit=True) as admin:
        admin.execute(f'grant select on shop.orders to "{login}"')
        admin.execute(f'grant usage on schema shop to "{login}"')
        request = told.active(chloe, priya, path=ORDERS)
        assert request.grants[0].standing
        chloe.wait_message("already held")
        told.press(chloe, request.code, "return")
        told.wait(request.code, State.RETURNED)
        assert (login, "orders", "SELECT") in told.privileges()
        admin.execute(f'revoke all on shop.orders from "{login}"')
