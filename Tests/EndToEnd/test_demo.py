"""The demo itself: whoever tries the project first sees it."""

import codecs
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

from harness.case import EndToEndCase, prebuilt
from localmesh.processes import run

_SCRIPT = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "lib", "demo.py")


ROWS, COLUMNS = 24, 80
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal of its own, and the frames it draws: each begins at the top left."""

    def __init__(self, command, rows, columns):
        self._own, other = pty.openpty()
        ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, start_new_session=True)
        os.close(other)
        self._text, self._decoder = "", codecs.getincrementaldecoder("utf-8")()
        #: The complete frames, as lines without colours.
        self.frames = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self.interrupt()
        os.close(self._own)

    def _read(self, seconds):
        """False at the end."""
        if not select.select([self._own], [], [], seconds)[0]:
            return True
        try:
            read = os.read(self._own, 65536)
        except OSError:
            return False  # the process has closed its side
        self._text += self._decoder.decode(read)
        *complete, self._text = self._text.split("\x1b[H")
        self.frames += [_ESCAPES.sub("", frame).replace("\r", "").rstrip("\n").split("\n")
                        for frame in complete]
        return bool(read)

    def wait_for(self, pattern, seconds):
        """Waits for a frame, drawn after the one found last, with a line that matches."""
        deadline, looked_at = time.monotonic() + seconds, len(self.frames)
        while time.monotonic() < deadline:
            goes_on = self._read(0.5)
            for frame in self.frames[looked_at:]:
                if any(re.search(pattern, line) for line in frame):
                    return
            looked_at = len(self.frames)
            if not goes_on:
                break
        last = "\n".join(self.frames[-1]) if self.frames else self._text
        raise AssertionError(f"no line matched {pattern!r}; last seen:\n{last}")

    def interrupt(self):
        """Ctrl-C; its exit status."""
        self._process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        return self._process.wait(1)


class Demo(EndToEndCase):
    def test_its_whole_story_holds(self):
        def directory(program):
            return os.path.dirname(prebuilt().path(program))
        _, output, _ = run([
            sys.executable, _SCRIPT, "--once", "--proxy-binaries", directory("mesh-proxy"),
            "--control-binaries", directory("mesh-controller")], seconds=150)
        self.assertIn("no request failed", output)
        self.assertNotIn(" NO ", output)
        table = output[output.index("EXPECTATION"):]
        for expectation in (
                "the bad version rolls itself back", "it cost no more than its share",
                "nothing fails after it", "the broken instance is set aside",
                "callers notice less than 1 % of it", "repaired, it serves again"):
            self.assertRegex(table, rf"(?m)^{re.escape(expectation)} +yes ")
        # What happened, not only that it went well.
        self.assertRegex(table, r"in step 1: canary [45]\d(\.\d+)? % of \d+, baseline 100 % of \d+")
        self.assertRegex(table, r"after \d failed requests and [\d.]+ s: ejected, out for ")

    def test_its_live_view_fits_a_terminal_and_shows_what_is_out(self):
        def directory(program):
            return os.path.dirname(prebuilt().path(program))
        with Terminal([
                sys.executable, _SCRIPT, "--proxy-binaries", directory("mesh-proxy"),
                "--control-binaries", directory("mesh-controller")], ROWS, COLUMNS) as terminal:
            terminal.wait_for(r"inventory-v3 +\d+ +\d+ +\d+\.\d+ %.*step 1 of 2, 10%", 60)
            terminal.wait_for(r"CANARY.*ROLLED BACK", 60)
            terminal.wait_for(r"inventory-v2-b ejected .*out [\d.]+ s, probe in [\d.]+ s", 60)
            terminal.wait_for(r"inventory-v2-b healthy ", 60)
            terminal.wait_for(r"kill -USR1 \d+ breaks inventory-v2-b", 60)
            self.assertEqual(0, terminal.interrupt())
        for frame in terminal.frames:
            self.assertLessEqual(len(frame), ROWS, "\n".join(frame))
            for line in frame:
                self.assertLessEqual(len(line), COLUMNS, line)
