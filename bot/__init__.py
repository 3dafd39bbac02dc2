"""Speaks Slack, and is the program."""
