"""Remembers. Imports engine, never bot."""
