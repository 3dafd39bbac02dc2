"""One function for each thing that a person, a loop or an operator does: facts, decide, store."""
