"""The stages, one thread each, and what connects them.

    source ── listen (detector, segmenter) ──[utterances]── classify ──[messages]── deliver, one for each sink

A stage ends when what feeds it ends, so a finite source drains the whole pipeline by itself.
"""
