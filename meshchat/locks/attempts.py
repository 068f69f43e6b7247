"""How often somebody may try a passphrase: once a second at first, and twice as slowly after each failure.

The count is the room's, not a peer's: a new key costs nothing, so counting by key would stop nobody. One member at a
time answers, the doorkeeper, and tells all others how many failures it counts, before whoever failed hears of it.

    failures before       0   1   2   3    4    5    6 and more
    seconds to the next   1   2   4   8   16   32   60

So a guesser who is as quick as it is allowed to be has 64 tries in its first hour, 60 in each further one, 1444 in the
first day. Waiting until the failures are forgotten gains nothing: ten quiet minutes buy back six tries, which is fewer
than the ten that patience would have had. A success forgets them too, so each honest newcomer gives a guesser
six tries ahead of time.

Another doorkeeper does not begin anew: it goes on from the count that it was told, takes in what the others tell it,
and waits first as long as after a failure. So a guesser who has the doorkeeper changed, by whatever means, has waited
at least as long for its next try as it would have had to. Not taken: telling the time of the next try as well, which a
liar could put off for ever.

The price: a guesser who never rests keeps those with the passphrase waiting. The invite link, which cannot be guessed,
is not slowed down.
"""

from __future__ import annotations

from meshchat.units import Seconds

FIRST_WAIT_S: Seconds = 1.0
"""Between two tries when none has failed."""

WAIT_S_MAX: Seconds = 60.0
"""The longest wait: an honest person who comes in the middle of an attack still gets a turn."""

QUIET_S: Seconds = 600.0
"""After this long without a failure all are forgotten. Under seven minutes it would pay to wait for it."""

FAILURES_MAX = 6
"""The count stops here, where the wait does: so a member that tells lies can slow the others to a minute, not more."""


class Attempts:
    """What one member knows of the tries at its room's passphrase. Times are monotonic."""

    def __init__(self) -> None:
        self._failures = 0
        self._next_at: Seconds | None = None
        self._failed_at: Seconds = 0.0

    def failures(self, now: Seconds) -> int:
        """How many count at the moment: 0..6. This is what is told to the other members after a failure."""
        if self._failures and now - self._failed_at >= QUIET_S:
            self._failures = 0
        return self._failures

    def wait_s(self, now: Seconds) -> Seconds:
        """How long until the next try may begin; 0 when it may at once."""
        return 0.0 if self._next_at is None else max(0.0, self._next_at - now)

    def begin(self, now: Seconds) -> bool:
        """Takes the turn if there is one now. A turn taken is spent, whether or not the try comes to its end."""
        if self.wait_s(now) > 0:
            return False
        self._next_at = now + _wait(self.failures(now))
        return True

    def fail(self, now: Seconds) -> None:
        """The passphrase was wrong."""
        self._fail(min(self.failures(now) + 1, FAILURES_MAX), now)

    def succeed(self) -> None:
        """The passphrase was right."""
        self._failures = 0

    def merge(self, failures: int, now: Seconds) -> None:
        """Another member tells how many failures it counts (any number; the greatest holds)."""
        if failures > self.failures(now):
            self._fail(min(failures, FAILURES_MAX), now)

    def follow(self, failures: int, now: Seconds) -> None:
        """The doorkeeper tells how many it counts: whoever opens the door knows best, after a success too."""
        self._failures, self._failed_at = min(failures, FAILURES_MAX), now

    def take_over(self, now: Seconds) -> None:
        """The door is ours to keep from now on: the first try waits as one does that follows the last failure."""
        self._next_at = now + _wait(self.failures(now))

    def _fail(self, failures: int, now: Seconds) -> None:
        self._failures = failures
        self._failed_at = now
        self._next_at = now + _wait(failures)


def _wait(failures: int) -> Seconds:
    return min(FIRST_WAIT_S * 2.0**failures, WAIT_S_MAX)
