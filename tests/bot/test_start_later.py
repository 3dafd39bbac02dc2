"""Asked for now, to start later: the form, the cards, the start, in everybody's own zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from bot.usecases import identity
from bot.views import ids
from bot.views.request_modal import LATER, NOW, block_of
from engine.request import State
from engine.window import shown
from tests.support.door import CUSTOMERS, choice, filled, profile
from tests.support.story import STOCK

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WARSAW = "Europe/Warsaw"  # Marta's; Priya's is Europe/London


def later(told, who, *, at: datetime, **wanted):
    """Fill the form in, for a start by Warsaw's clocks."""
    form = told.fill(who, **wanted)
    form.set("start", LATER)
    who.wait_view(where=lambda v: "start_day" in str(v["blocks"]))
    form = who.view()
    form.set("start_day", f"{at:%Y-%m-%d}")
    form.set("start_time", f"{at:%H:%M}")
    return form


def tomorrow(told) -> datetime:
    """Return half past nine of the next day, on Marta's wall."""
    there = told.desk.clock.now().astimezone(ZoneInfo(WARSAW)) + DAY
    return there.replace(hour=9, minute=30, second=0, microsecond=0)


def to(told, moment: datetime) -> None:
    told.house.sandbox.advance((moment - told.desk.clock.now()).total_seconds() + 1)


def token(moment: datetime) -> str:
    """Return how Slack is told a moment, which each reader sees in their own zone."""
    return f"<!date^{int(moment.timestamp())}^"


def test_what_is_approved_for_tomorrow_opens_the_system_tomorrow(told):
    marta, priya = told.person("marta"), told.person("priya")
    at = tomorrow(told)
    form = later(told, marta, at=at, duration="1 h")
    marta.wait_view(where=lambda v: token(at + HOUR) in str(v["blocks"]))
    assert "The time zone is that of your Slack profile." in str(form.raw["blocks"])
    assert told.send(marta.view()).action == "close"
    (request,) = told.desk.requests(live=True)
    assert request.starts_at == at

    code = request.code
    card = told.card(priya, code, button="approve")
    assert token(at) in str(card.raw["blocks"])
    assert "as soon as it is approved after that" in card.text
    told.decide(priya, code)
    told.wait(code, State.SCHEDULED)
    assert token(at) in str(told.card(marta, code, "starts later", button="cancel").raw)
    told.card(priya, code, "approved", button="withdraw_approval", without="reject")
    assert "starts" in marta.command("/access", "my").text
    assert f"starts {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" in told.house.bot.run(
        "requests", "list"
    ).stdout.replace("\n", " ")
    assert "It is approved, and starts" in told.house.bot.run("requests", "show", code).stdout
    assert not told.privileges()

    to(told, at - 15 * MINUTE)
    told.card(marta, code, "Access starts soon", button="cancel")
    assert not told.privileges()
    to(told, at)
    active = told.wait(code, State.ACTIVE)
    assert active.ends_at - active.confirmed_at == HOUR
    login = told.credentials(marta, code)
    with told.log_in(login) as session:
        assert session.execute("select count(*) from shop.customers").fetchone() == (200,)
    to(told, active.ends_at)
    told.wait(code, State.EXPIRED)
    with pytest.raises(psycopg.OperationalError):
        told.log_in(login)


def test_nobody_has_to_approve_and_it_starts_all_the_same_when_it_is_to(told):
    marta, at = told.person("marta"), tomorrow(told)
    told.send(later(told, marta, at=at, path=STOCK))
    (request,) = told.desk.requests(live=True)
    assert request.state is State.SCHEDULED

    told.press(marta, request.code, "cancel")
    told.wait(request.code, State.CANCELLED)
    to(told, at)
    assert told.request(request.code).state is State.CANCELLED


def test_an_approval_is_taken_back_and_others_are_asked_again(told):
    marta, priya, sam = (told.person(name) for name in ("marta", "priya", "sam.leigh"))
    told.send(later(told, marta, at=tomorrow(told)))
    (request,) = told.desk.requests(live=True)
    told.decide(priya, request.code)
    told.card(sam, request.code, "approved", without="approve")

    told.press(priya, request.code, "withdraw_approval")
    told.wait(request.code, State.PENDING)
    told.card(marta, request.code, "Waiting for approval")
    told.card(priya, request.code, button="approve")
    told.decide(sam, request.code)
    told.wait(request.code, State.SCHEDULED)


def test_who_approves_after_the_start_is_told_that_it_begins_at_once(told):
    marta, priya = told.person("marta"), told.person("priya")
    soon = told.desk.clock.now().astimezone(ZoneInfo(WARSAW)) + 3 * HOUR
    told.send(later(told, marta, at=soon))
    (request,) = told.desk.requests(live=True)
    told.card(priya, request.code, button="approve")
    to(told, request.starts_at + HOUR)

    told.decide(priya, request.code)
    told.wait(request.code, State.ACTIVE)
    assert "it begins at once" in told.card(priya, request.code, "was to start at").text


def test_who_leaves_before_the_start_gets_nothing(told):
    henrik = told.person("henrik")
    told.send(later(told, henrik, at=tomorrow(told)))
    (request,) = told.desk.requests(live=True)
    told.decide(told.person("priya"), request.code)
    told.wait(request.code, State.SCHEDULED)
    with told.deactivated("henrik"):
        told.wait(request.code, State.CANCELLED)


def test_what_is_gone_before_the_start_is_not_given(told):
    marta = told.person("marta")
    told.send(later(told, marta, at=tomorrow(told)))
    (request,) = told.desk.requests(live=True)
    told.decide(told.person("priya"), request.code)
    told.wait(request.code, State.SCHEDULED)

    def is_called_off():
        told.lose(CUSTOMERS)  # again: a look at the system finds it
        return told.request(request.code).state is State.CANCELLED

    with told.gone(CUSTOMERS):
        told.until(is_called_off, "it is called off")
        told.card(marta, request.code, "no longer exists")


# --- through the door ----------------------------------------------------------------------------


def lives_in(door, who: str, zone: str) -> None:
    """Let Slack's profile say where somebody is."""
    identity.take(door.services, [profile(door.person(who), tz=zone)])


def opened(door, who: str, path: str = CUSTOMERS):
    """Open the form and say that it starts at another time; return it with its fields."""
    form = door.form(who, path)
    start = block_of(form["blocks"], ids.START)
    values = filled(form)
    values[start][ids.START]["selected_option"] = {"value": LATER}
    chosen = door.deliver(choice(who, form, ids.START, LATER, values))
    (view,) = chosen.views
    return view


def sent(door, who: str, view, day: str, at: str | None):
    values = filled(view, start_day={"selected_date": day}, start_time={"selected_time": at})
    return door.submit(who, view, values)


def wall(door, zone: str, ahead: timedelta) -> tuple[str, str]:
    there = shown(zone, door.clock.now() + ahead)
    return f"{there:%Y-%m-%d}", f"{there:%H:%M}"


def test_the_form_asks_for_a_start_only_once_another_is_wanted(door):
    form = door.form("marta")
    assert block_of(form["blocks"], ids.START)
    assert block_of(form["blocks"], ids.START_DAY) is None

    view = opened(door, "marta")
    assert block_of(view["blocks"], ids.START_DAY)
    values = filled(view, start={"selected_option": {"value": NOW}})
    (again,) = door.deliver(choice("marta", view, ids.START, NOW, values)).views
    assert block_of(again["blocks"], ids.START_DAY) is None


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Pacific/Auckland"])
def test_the_time_is_that_of_the_clocks_where_the_one_is_who_asks(door, zone):
    lives_in(door, "marta", zone)
    view = opened(door, "marta")
    time = next(b for b in view["blocks"] if b.get("block_id", "").startswith(ids.START_TIME))
    assert time["element"]["timezone"] == zone
    day = next(b for b in view["blocks"] if b.get("block_id") == ids.START_DAY)
    assert day["element"]["initial_date"] == wall(door, zone, timedelta())[0]

    assert not sent(door, "marta", view, *wall(door, zone, 5 * HOUR)).said
    starts = door.requests()[0].starts_at
    assert starts == (door.clock.now() + 5 * HOUR).replace(second=0, microsecond=0)


@pytest.mark.parametrize("zone", ["", "Europe/Nowhere", None, 7])
def test_who_has_no_zone_that_is_known_reads_utc(door, zone):
    lives_in(door, "marta", zone)

    assert f"{ids.START_TIME}/UTC" in str(opened(door, "marta")["blocks"])


def test_a_zone_that_slack_says_nothing_of_stays(door):
    lives_in(door, "marta", "Asia/Kolkata")
    identity.take(door.services, [profile(door.person("marta"))])

    assert door.person("marta").zone == "Asia/Kolkata"


@pytest.mark.parametrize(
    ("ahead", "field", "says"),
    [
        (-HOUR, ids.START_TIME, "This moment is past."),
        (7 * DAY + HOUR, ids.START_DAY, "at most 7 days ahead: by"),
        (4000 * DAY, ids.START_DAY, "at most 7 days ahead: by"),
    ],
)
def test_a_start_that_cannot_be_is_refused_at_its_field(door, ahead, field, says):
    lives_in(door, "marta", WARSAW)
    view = opened(door, "marta")
    answer = sent(door, "marta", view, *wall(door, WARSAW, ahead))

    ((block, sentence),) = answer.payload["errors"].items()
    assert block == block_of(view["blocks"], field)
    assert says in sentence
    assert not any(r.requestor == "marta" and r.starts_at for r in door.requests())


def test_an_hour_that_clocks_skip_is_refused_at_its_field(door):
    lives_in(door, "marta", WARSAW)
    door.clock.time = datetime(2027, 3, 26, 9, tzinfo=UTC)
    view = opened(door, "marta")
    answer = sent(door, "marta", view, "2027-03-28", "02:30")

    ((block, sentence),) = answer.payload["errors"].items()
    assert block == block_of(view["blocks"], ids.START_TIME)
    assert "Clocks in Europe/Warsaw never show 02:30 on that day" in sentence
    assert not sent(door, "marta", view, "2027-03-28", "03:00").said
    assert door.requests()[0].starts_at == datetime(2027, 3, 28, 1, tzinfo=UTC)


def test_a_time_that_is_missing_is_asked_for(door):
    view = opened(door, "marta")
    answer = sent(door, "marta", view, wall(door, "UTC", DAY)[0], None)

    assert "Choose the time at which it starts." in answer.said


def test_without_end_there_is_no_later_start(door):
    view = opened(door, "marta")
    day, at = wall(door, "UTC", DAY)
    duration = next(b["block_id"] for b in view["blocks"] if "duration" in b.get("block_id", ""))
    values = filled(view, start_day={"selected_date": day}, start_time={"selected_time": at})
    values[duration][ids.DURATION]["value"] = "without end"
    answer = door.submit("marta", view, values)

    assert "Access without end starts at once." in answer.said


def test_the_same_twice_for_the_same_start_shows_the_one_that_is_there(door):
    view = opened(door, "marta")
    day, at = wall(door, "UTC", DAY)
    assert not sent(door, "marta", view, day, at).said
    made = door.requests()[0]

    assert f"{made.code} asks for the same already." in sent(door, "marta", view, day, at).said
    assert not sent(door, "marta", view, *wall(door, "UTC", DAY + HOUR)).said
    assert door.requests()[0].id != made.id


def test_clocks_are_set_between_asking_and_the_start(door):
    """Marta is in Warsaw, Priya in New York, where clocks were set two weeks before."""
    lives_in(door, "marta", WARSAW)
    lives_in(door, "priya", "America/New_York")
    door.clock.time = datetime(2027, 3, 27, 8, tzinfo=UTC)
    view = opened(door, "marta")
    assert not sent(door, "marta", view, "2027-03-29", "09:00").said
    made = door.requests()[0]
    assert made.starts_at == datetime(2027, 3, 29, 7, tzinfo=UTC)
    door.submit("priya", {"callback_id": ids.APPROVE_MODAL, "private_metadata": str(made.id)})
    assert door.request(made.id).state is State.SCHEDULED

    door.clock.time = datetime(2027, 3, 29, 6, 59, 59, tzinfo=UTC)
    door.work()
    assert door.request(made.id).state is State.SCHEDULED
    door.clock.time = datetime(2027, 3, 29, 7, tzinfo=UTC)
    door.work()
    assert door.request(made.id).state is State.ACTIVE


def test_changing_keeps_the_start(told):
    """The form came back with *Now* chosen: whoever changed the reason alone had it at once."""
    marta, at = told.person("marta"), tomorrow(told)
    later(told, marta, at=at, duration="1 h")
    assert told.send(marta.view()).action == "close"
    (old,) = told.desk.requests(live=True)

    told.press(marta, old.code, "change_request")
    form = marta.wait_view("Change request")
    form.set("justification", "INC-43")
    assert told.send(form).action == "close"

    (new,) = told.desk.requests(live=True)
    assert (new.instead_of, new.starts_at) == (old.id, at)
