"""Core values to Block Kit: pure functions, without I/O, session or clock."""
