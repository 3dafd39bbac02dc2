"""What the engine decides by a predicate, as SQL: it narrows what is looked at, and counts."""
