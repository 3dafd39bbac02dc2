"""Slack on the wire: the Web API, Socket Mode, HTTP, and how fast each may be used."""
