"""The built-in vads. Each registers by entry point, like any plugin."""
