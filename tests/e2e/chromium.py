"""A real headless Chromium, driven over the DevTools protocol through a pipe: no driver, no port, no further dependency."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def find() -> str | None:
    """Path of Chromium: the environment's CHROMIUM, or the first known name on PATH."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


class Page:
    """One tab. Everything it logs, throws or asks of the network is kept in `events`."""

    def __init__(self, to_browser: int, from_browser: int, deadline_s: float) -> None:
        self._to, self._from, self._deadline = to_browser, from_browser, time.monotonic() + deadline_s
        self._buffer, self._last_id, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Answer of one DevTools command."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)

    def look_like(self, width: int, height: int, *, dark: bool = False) -> None:
        """Sets the window's size in CSS pixels and the colour scheme that the reader prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, path: Path) -> None:
        """Loads a local file and waits for its load event."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("document.readyState === 'complete' && location.protocol === 'file:'")

    def eval(self, script: str) -> Any:
        """Value of a JavaScript expression; a promise is awaited. DevTools itself is not bound by the page's CSP."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Returns once a JavaScript expression is true; the page's own frames are the clock."""
        self.eval(f"new Promise(done => {{ const look = () => ({condition}) ? done(true) : setTimeout(look, 20); look(); }})")

    def hover(self, x: float, y: float) -> None:
        """Moves the pointer."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the whole page, or of what the window shows."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def requests(self) -> list[str]:
        """Every URL the page asked for."""
        return [event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """Whatever the browser had to say: CSP violations, exceptions, failed loads, console errors and warnings."""
        return list(self._complaints())

    def _complaints(self) -> Iterator[str]:
        for event in self.events:
            match event.get("method"), event.get("params", {}):
                case "Log.entryAdded", {"entry": entry}:
                    yield f"{entry['source']}: {entry['text']}"
                case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                    yield f"exception: {details.get('exception', details).get('description', details)}"
                case "Runtime.consoleAPICalled", {"type": kind, "args": args} if kind in ("error", "warning", "assert"):
                    yield f"console.{kind}: {[arg.get('value', arg.get('description')) for arg in args]}"
                case "Audits.issueAdded", {"issue": issue}:
                    yield f"issue: {json.dumps(issue)}"

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left_s = self._deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._from], [], [], left_s)[0]:
                raise TimeoutError(f"Chromium said nothing more. So far: {self.complaints()}")
            data = os.read(self._from, 1 << 20)
            if not data:
                raise EOFError("Chromium closed its pipe")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def page(binary: str, deadline_s: float = 120.0) -> Iterator[Page]:
    """A fresh browser with one empty tab; gone, with its profile, at the end."""
    from_us, ours_out = os.pipe()
    ours_in, to_us = os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4. bash puts ours there, from numbers that cannot be 3 or 4 themselves.
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (from_us, to_us)]
    wrapper = ("bash", "-c", f'exec "$0" "$@" 3<&{theirs[0]} 4>&{theirs[1]}')
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            (*wrapper, binary, *FLAGS, f"--user-data-dir={profile}"),
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (from_us, to_us, *theirs):
            os.close(end)
        try:
            yield Page(ours_out, ours_in, deadline_s)
        finally:
            os.close(ours_out)
            os.close(ours_in)
            process.kill()
            process.wait()
