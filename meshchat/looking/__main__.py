"""The window process: is told on standard input what to show, one line the feed's address and one the member's name."""

from __future__ import annotations

import sys

from meshchat.errors import MeshchatError


def main() -> int:
    """Shows it; the exit status, with the reason on standard error if the person did not close the window."""
    address, alias = (sys.stdin.buffer.readline().decode().strip() for _ in range(2))
    try:
        from meshchat.looking import glass

        glass.show(address, alias)
    except MeshchatError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:  # Ctrl+C in the terminal reaches us too
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
