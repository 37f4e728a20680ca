"""How the embedded model was trained: from public emotional speech to the checkpoint in ``ser_agent/model``."""
