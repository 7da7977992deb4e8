"""How many calls a trunk takes at once, and how many begin in a second."""

from __future__ import annotations

from gateway.errors import GatewayError
from protocols.sip.token_bucket import TokenBucket


class TrunkUnavailable(GatewayError):
    """A call was not begun; nothing was sent."""

    is_temporary = True

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TrunkBusy(TrunkUnavailable):
    """The trunk has as many calls as it may, or began one just now."""


class TrunkDown(TrunkUnavailable):
    """Nobody knows where the trunk's servers are, or it is being stopped."""


_FULL_RETRY_S = 5.0


class Admission:
    """The limits of one trunk, both ways together."""

    def __init__(self, max_calls: int, calls_per_s: float, now: float) -> None:
        self.max_calls = max_calls
        self.now = 0
        """Calls under way."""
        self.before: Admission | None = None
        """Of settings that are not any more: the calls that began under them count too."""
        self.refused = 0
        self._bucket = TokenBucket(calls_per_s, max(1.0, calls_per_s), now)

    @property
    def room(self) -> int:
        """Calls that may begin, the pace aside."""
        return max(0, self.max_calls - self.taken)

    @property
    def taken(self) -> int:
        """Calls under way, those before a change of the settings included."""
        before = self.before.taken if self.before is not None else 0
        if not before:
            self.before = None
        return self.now + before

    def begin(self, now: float) -> None:
        """Count a call. Raises TrunkBusy when it may not begin now."""
        if self.taken >= self.max_calls:
            self.refused += 1
            raise TrunkBusy(f"all {self.max_calls} calls of the trunk are taken", _FULL_RETRY_S)
        if not self._bucket.take(now):
            self.refused += 1
            raise TrunkBusy("the trunk began a call just now", self._bucket.wait_s(now))
        self.now += 1

    def end(self) -> None:
        """A call is over."""
        self.now -= 1
