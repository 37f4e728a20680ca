"""Archives: more recordings than one machine should hear, shared out on a Ray cluster.

What a file gives is what ``ser-agent classify`` says of it; this package says who hears it, and where answers go.
"""
