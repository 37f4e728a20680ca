"""Five systems, trained on the same clips and judged on the same speakers: ``python -m training compare``."""
