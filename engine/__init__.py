"""Decides. Imports neither bot nor storage."""
