"""The built-in sources. Each registers by entry point, like any plugin."""
