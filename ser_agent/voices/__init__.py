"""What tells when an assistant speaks, a module for each kind of assistant."""
