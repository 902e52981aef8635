"""A call that waits for a person: its answer is kept for whoever comes for it, and its caller need not stay."""

import asyncio
from collections.abc import Callable

from freehold.gateway.reply import Reply
from freehold.journal.pending import Going, KeptReply, PendingCall, PendingCalls, later
from freehold.variants.expert import Beside


class Waiting:
    """One call's wait for people."""

    __slots__ = ("_call", "_is_over", "_later", "_pending", "_told", "reply")

    def __init__(self, pending: PendingCalls, call: str, told: Callable[[], None]) -> None:
        """`call`: its id. `told` hears when its caller was told that it need not wait."""
        self.reply: KeptReply | None = None
        """The way back of one that is written down; None for any other."""
        self._pending = pending
        self._call = call
        self._told = told
        self._later: asyncio.TimerHandle | None = None
        self._is_over = False

    def keep(self, reply: Reply) -> KeptReply:
        """The way back that keeps what its caller would hear."""
        if self.reply is None:
            self.reply = KeptReply(reply, lambda answered: self._pending.answered(self._call, answered))
        return self.reply

    def beside(self, call: PendingCall, wait_s: float) -> Beside:
        """What has the call outlive this process. Its caller waits for so long from when that is written down."""
        return Beside(self._pending.kept(call), lambda: self._begin(wait_s))

    def _begin(self, wait_s: float) -> None:
        if self._later is None and not self._is_over:
            self._later = asyncio.get_running_loop().call_later(wait_s, self.tell_later)

    def tell_later(self) -> None:
        """The caller need not wait any longer."""
        if self.reply is None or self.reply.is_told:
            return
        self.reply.tell_later(*later(self._call))
        if self.reply.is_told:
            self._pending.told(self._call)
        self._told()

    def let_go(self, going: Going) -> None:
        """This process ends; another goes on with the call from here."""
        self._pending.let_go(self._call, going)
        self.tell_later()

    def stop(self) -> None:
        """Nobody is waited for any longer."""
        self._is_over = True
        if self._later is not None:
            self._later.cancel()
