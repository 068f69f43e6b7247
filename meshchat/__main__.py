"""`python -m meshchat` is `meshchat`."""

import sys

from meshchat.cli import main

if __name__ == "__main__":
    sys.exit(main())
