"""The built-in sinks. Each registers by entry point, like any plugin."""
