"""What people do with what they asked for: cancel, extend, return, log in."""

from collections.abc import Callable

from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor, clicked, request_id
from bot.services import Services
from bot.usecases import credentials as usecase
from bot.usecases import decide
from bot.views import credentials, ids, lists
from bot.views.values import View
from engine.commands import Cancel, Command, Extend, Return
from engine.directory import Person
from engine.outcome import Refusal
from engine.request import AccountId


def register(app: App, services: Services) -> None:
    visitor = Visitor(services, app.client)

    def button(title: str, command: Callable[[Person, str], Command]) -> Callable[..., None]:
        def press(ack: Ack, body: Body) -> None:
            person, value = visitor.who(body), clicked(body)
            outcome = (
                person
                if isinstance(person, Refusal)
                else decide.do(services, request_id(value), command(person, value))
            )
            if isinstance(outcome, Refusal):
                visitor.refuse(body, outcome, title)
            ack()

        return press

    def show(ack: Ack, body: Body) -> None:
        person = visitor.who(body)
        if isinstance(person, Refusal):
            visitor.refuse(body, person)
        else:
            shown = usecase.show(services, person, request_id(clicked(body)))
            if isinstance(shown, Refusal):
                visitor.refuse(body, shown, "Credentials")
            else:
                visitor.open(body, credentials.credentials_modal(shown[1]))
        ack()

    def saved(ack: Ack, body: Body) -> None:
        person = visitor.who(body)
        account = AccountId(request_id(clicked(body)))
        done = person if isinstance(person, Refusal) else usecase.saved(services, person, account)
        view = credentials.saved_modal() if done is None else _refused(done)
        app.client.views_update(view_id=body["view"]["id"], view=view)
        ack()

    def reset(ack: Ack, body: Body) -> None:
        person = visitor.who(body)
        account = AccountId(request_id(clicked(body)))
        outcome = (
            person if isinstance(person, Refusal) else usecase.reset(services, person, account)
        )
        view = (
            _refused(outcome)
            if isinstance(outcome, Refusal)
            else credentials.credentials_modal(outcome)
        )
        app.client.views_update(view_id=body["view"]["id"], view=view)
        ack()

    app.action(ids.CANCEL)(button("Not cancelled", lambda p, _: Cancel(p.id)))
    app.action(ids.EXTEND)(button("Not extended", lambda p, value: Extend(p.id, _number(value))))
    app.action(ids.RETURN)(button("Not returned", lambda p, _: Return(p.id)))
    app.action(ids.CREDENTIALS)(show)
    app.action(ids.SAVED)(saved)
    app.action(ids.RESET)(reset)


def _refused(refusal: Refusal) -> View:
    return credentials.notice_modal("Credentials", lists.refusal(refusal))


def _number(value: str) -> int:
    """Return which extension the button offered; 0 is none."""
    _, _, text = value.partition("/")
    return int(text) if text.isdecimal() and len(text) < 6 else 0
