"""ser_agent: an always-on sensor that tells a home what its people feel."""

__version__ = "0.1.0"
