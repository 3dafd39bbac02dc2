"""What can be odd about an access flow, by what it is about; `engine.lint` asks all of it."""
