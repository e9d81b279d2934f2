"""The console: it sees, and never forwards, traffic."""
