"""The agent inside a voice assistant: what listens to a conversation that somebody else conducts."""
