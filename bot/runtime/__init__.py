"""What all of the program works with: clock, connectors, threads, faults, metrics, secrets."""
