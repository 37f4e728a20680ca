"""The page of ``ser-agent web``: upload or record, and see what was heard. Needs the extra ``web``."""
