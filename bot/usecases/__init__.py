"""One function for each thing that a person can do: facts, decide, store, answer."""
