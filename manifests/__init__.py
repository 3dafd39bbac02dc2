"""Data that ships with Latchkey: the Slack app, the sample company."""
