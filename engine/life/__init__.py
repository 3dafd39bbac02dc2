"""The steps of a request's life, by what they do: `engine.lifecycle` says which is taken when."""
