"""``python -m ser_agent`` is ``ser-agent``."""

import sys

from ser_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
