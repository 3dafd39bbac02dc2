"""One module for each conversation that a person has with Latchkey."""
