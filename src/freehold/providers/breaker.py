"""Circuit breakers: a model that fails again and again is left alone for a while, by every worker, and then tried once."""

from collections import deque
from collections.abc import Callable, Mapping

WINDOW = 20
"""Of how many answers it is judged."""
FEWEST = 5
"""Failures below which nothing opens, where nobody says otherwise."""
SHARE = 0.5
"""The share of failures from which it opens."""
OPEN_S = 5.0
"""How long it stays open at first; each time after a try that failed twice as long."""
MOST_OPEN_S = 60.0


class Breaker:
    """The answers of one model, and whether it is left alone. Times are seconds since 1970, so that workers share them."""

    def __init__(self) -> None:
        self.open_until = self.changed_at = 0.0
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._open_s = OPEN_S
        self._is_tried = False

    def allows(self, now: float) -> bool:
        """Whether it may be asked. After an opening one request is let through; the others wait for how that ends."""
        if self.open_until == 0.0:
            return True
        if now < self.open_until or self._is_tried:
            return False
        self._is_tried = True
        return True

    def succeeded(self) -> None:
        """It answered."""
        self._recent.append(True)
        if self.open_until:
            self.open_until, self._open_s, self._is_tried = 0.0, OPEN_S, False
            self._recent.clear()

    def failed(self, now: float, fewest: int) -> bool:
        """It failed. Gives whether it is left alone from now on: after `fewest` failures, if they are half of its answers."""
        self._recent.append(False)
        if self._is_tried:
            self._open_s = min(self._open_s * 2, MOST_OPEN_S)
        elif self.open_until or self._recent.count(False) < max(fewest, SHARE * len(self._recent)):
            return False
        self.open_until, self._is_tried = now + self._open_s, False
        self._recent.clear()
        return True

    def unknown(self) -> None:
        """The try ended without saying anything of the model, such as by a caller who left."""
        self._is_tried = False


class Breakers:
    """Those of every model, by name. What opens here is told to `share`; what opened elsewhere comes in by `learn`."""

    def __init__(self, share: Callable[[str, float, float, str], None]) -> None:
        """`share` takes the model, until when it is left alone (0: it answers again), since when, and why."""
        self._by_name: dict[str, Breaker] = {}
        self._share = share

    def allows(self, name: str, now: float) -> bool:
        """Whether the model may be asked."""
        breaker = self._by_name.get(name)
        return breaker is None or breaker.allows(now)

    def succeeded(self, name: str, now: float) -> None:
        """The model answered."""
        breaker = self._by_name.get(name)
        if breaker is None:
            return  # nothing failed so far
        if breaker.open_until:
            breaker.changed_at = now
            self._share(name, 0.0, now, "")
        breaker.succeeded()

    def failed(self, name: str, now: float, why: str, fewest: int = FEWEST) -> None:
        """The model failed, and it is the provider that did. `fewest`: as of `Breaker.failed`; 0 for never."""
        breaker = self._by_name.setdefault(name, Breaker()) if fewest else None
        if breaker is not None and breaker.failed(now, fewest):
            breaker.changed_at = now
            self._share(name, breaker.open_until, now, why)

    def unknown(self, name: str) -> None:
        """A request ended without saying anything of the model."""
        if (breaker := self._by_name.get(name)) is not None:
            breaker.unknown()

    def learn(self, told: Mapping[str, tuple[float, float]]) -> None:
        """What all workers know: by model until when it is left alone, and since when that is known."""
        for name, (until, at) in told.items():
            breaker = self._by_name.setdefault(name, Breaker())
            if at > breaker.changed_at:  # what was found here may not have been told yet
                breaker.open_until, breaker.changed_at = until, at

    def open(self, now: float) -> list[str]:
        """The models that are left alone."""
        return sorted(name for name, breaker in self._by_name.items() if breaker.open_until > now)
