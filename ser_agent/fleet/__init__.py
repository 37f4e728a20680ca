"""Workers: they hear the emotion in what other machines' agents have heard.

``docs/adr/0025-the-broker-shares-out-the-work.md`` is the contract between them and the satellites, whose side is
the classifier ``remote``.
"""
