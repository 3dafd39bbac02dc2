"""I/O at the edge: one port, and one module for each kind of system."""
