"""How fast and how dearly a server may be asked."""

import threading
import time

from prospect.llm.records import SpendLimit


class Pace:
    """Evenly spaced starts, at most ``per_minute``; shared by all threads of a client.

    Each start is planned from the one planned before, not from the time a thread woke up, so that
    the rate doesn't drift; time in which nobody asked is not made up for.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._interval_s = 60 / per_minute if per_minute else 0.0
        self._next_s = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the caller may start."""
        with self._lock:
            start_s = max(time.monotonic(), self._next_s)
            self._next_s = start_s + self._interval_s
        time.sleep(max(0.0, start_s - time.monotonic()))

    def hold(self, seconds: float) -> None:
        """Let nobody start for a while: the server asked for a pause."""
        with self._lock:
            self._next_s = max(self._next_s, time.monotonic() + seconds)


class Budget:
    """Money: what was spent, and what attempts under way may cost at most.

    Args:
        limit_usd: None for no limit.
        spent_usd: Before this client.
        cached_in: The file named in the error.
    """

    def __init__(self, limit_usd: float | None, spent_usd: float, cached_in: str) -> None:
        self._limit_usd = limit_usd
        self._spent_usd = spent_usd
        self._cached_in = cached_in
        self._under_way: list[float] = []
        self._changed = threading.Condition()

    def reserve(self, bound_usd: float) -> None:
        """Set money aside; waits while attempts under way may turn out cheaper than their bound.

        Raises:
            SpendLimit: it could exceed the limit.
        """
        with self._changed:
            while self._limit_usd is not None and (
                self._spent_usd + sum(self._under_way) + bound_usd > self._limit_usd
            ):
                if not self._under_way:
                    raise SpendLimit(
                        f"spent ${self._spent_usd:.4f} of max_cost_usd ${self._limit_usd:.4f}; the "
                        f"next request may cost up to ${bound_usd:.4f}. All paid replies are in "
                        f"{self._cached_in}; raise max_cost_usd and run again to go on"
                    )
                self._changed.wait()
            self._under_way.append(bound_usd)

    def settle(self, bound_usd: float, cost_usd: float) -> None:
        """Replace what was set aside by what it cost."""
        with self._changed:
            self._under_way.remove(bound_usd)
            self._spent_usd += cost_usd
            self._changed.notify_all()
