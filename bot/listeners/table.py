"""Who answers what: one look-up for each delivery, however many conversations there are.

Bolt asks one listener after another whether a delivery is its own.
"""

import re

from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.listeners.common import Body, Listener

ANYTHING = re.compile("")


class Table:
    """Listeners by what they listen for: a command, an action_id, a callback_id."""

    def __init__(self, client: WebClient) -> None:
        self.client = client
        self._views = dict[str, Listener]()
        self._actions = dict[str, Listener]()
        self._commands = dict[str, Listener]()
        self._options = dict[str, Listener]()

    def view(self, callback_id: str, listener: Listener) -> None:
        self._views[callback_id] = listener

    def action(self, action_id: str, listener: Listener) -> None:
        self._actions[action_id] = listener

    def command(self, name: str, listener: Listener) -> None:
        self._commands[name] = listener

    def options(self, action_id: str, listener: Listener) -> None:
        self._options[action_id] = listener

    def register(
        self, app: App, *, view: Listener, action: Listener, command: Listener, options: Listener
    ) -> None:
        """Have Bolt ask here. The listeners given take what nobody else here listens for."""

        def of_view(ack: Ack, body: Body) -> None:
            self._views.get(body["view"]["callback_id"], view)(ack, body)

        def of_action(ack: Ack, body: Body) -> None:
            self._actions.get(body["actions"][0]["action_id"], action)(ack, body)

        def of_command(ack: Ack, body: Body) -> None:
            self._commands.get(body["command"], command)(ack, body)

        def of_options(ack: Ack, body: Body) -> None:
            self._options.get(body["action_id"], options)(ack, body)

        app.view_submission(ANYTHING)(of_view)
        app.action(ANYTHING)(of_action)
        app.command(ANYTHING)(of_command)
        app.options(ANYTHING)(of_options)
        app.shortcut(ANYTHING)(action)
