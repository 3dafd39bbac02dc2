"""Messages that people write to Latchkey, where its cards come."""

from slack_bolt import Ack, App

from bot.listeners.common import Body, Visitor
from bot.runtime.services import Services
from bot.usecases import talk


def register(app: App, services: Services) -> None:
    visitor = Visitor(services, app.client)

    def said(ack: Ack, event: Body, body: Body) -> None:
        if is_somebodys(event):
            by = {**body, "user_id": event["user"]}
            refusal = visitor.act(by, lambda p: talk.answer(services, p))
            if refusal:
                visitor.say(str(event.get("channel") or event["user"]), refusal)
        ack()

    app.event("message")(said)


def is_somebodys(event: Body) -> bool:
    """Tell whether a person wrote it to the app: no bot did, and nothing was only changed.

    A file or a thread's answer is a message as well; every other subtype says what happened to one.
    """
    match event:
        case {"channel_type": "im", "user": str()}:
            written = event.get("subtype") in {None, "file_share", "thread_broadcast"}
            return written and not event.get("bot_id")
    return False
