"""AQL, the language that selects entitlements (docs/aql.md)."""
