"""Plugins for OpenVoiceOS: how a command was said goes with its text, and onto the message bus."""
