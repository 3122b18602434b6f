"""`python -m harness`: what can be said about prompts and models without a test run."""

import sys

from harness.commands import main

if __name__ == "__main__":
    sys.exit(main())
