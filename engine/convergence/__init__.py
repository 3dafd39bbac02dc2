"""The steps of `engine.account`, by what they do."""
