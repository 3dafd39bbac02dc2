"""Slack on this machine: a strict Web API, Socket Mode and signed HTTP events on loopback.

Its own process (`python -m bot.sandbox`), spoken to only over HTTP and WebSocket: by the bot as
if it were Slack, by tests and demos through `bot.sandbox.client`.
"""
