"""The built-in classifiers. Each registers by entry point, like any plugin."""
