"""Child processes whose lines can be waited for, with a limit, and that end in an orderly way."""

import os
import re
import signal
import subprocess
import threading
import time

# Generous: a loaded machine with two cores must not fail a test. Nothing ever waits this long
# when all is well.
LIMIT = 10.0


class Process:
    """A running program, its lines so far, and a cursor per stream that `expect` moves on."""

    def __init__(self, argv, *, env=None, cwd=None, stdin=subprocess.PIPE):
        self.argv = [str(part) for part in argv]
        self._changed = threading.Condition()
        self._lines = {"out": [], "err": []}
        self._cursor = {"out": 0, "err": 0}
        self._open = {"out", "err"}
        self._child = subprocess.Popen(
            self.argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,  # a Ctrl-C at the test run is ours alone
        )
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (("out", self._child.stdout), ("err", self._child.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self):
        return self._child.pid

    @property
    def returncode(self):
        return self._child.poll()

    def lines(self, stream="out"):
        with self._changed:
            return list(self._lines[stream])

    def text(self):
        """Everything said so far, for the message of a failed assertion."""
        out, err = ("\n".join(line[:300] for line in self.lines(stream)[-60:]) for stream in ("out", "err"))
        return f"$ {' '.join(self.argv)}\n--- stdout\n{out}\n--- stderr\n{err}\n(exit {self.returncode})"

    def expect(self, pattern, *, stream="out", timeout=LIMIT):
        """Waits for a line after the last expected one that matches; returns the match."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                lines = self._lines[stream]
                while self._cursor[stream] < len(lines):
                    line = lines[self._cursor[stream]]
                    self._cursor[stream] += 1
                    found = wanted.search(line)
                    if found:
                        return found
                left = deadline - time.monotonic()
                if stream not in self._open or left <= 0:
                    break
                self._changed.wait(left)
        ended = "the program ended" if self.returncode is not None else f"within {timeout} s"
        raise AssertionError(f"no line {pattern!r} on std{stream} ({ended})\n{self.text()}")

    def next_line(self, *, stream="out", timeout=LIMIT):
        """Waits for the next line, whatever it is."""
        return self.expect(r"^.*$", stream=stream, timeout=timeout).group(0)

    def send(self, line):
        self._child.stdin.write(line.encode() + b"\n")
        self._child.stdin.flush()

    def send_bytes(self, data):
        self._child.stdin.write(data)
        self._child.stdin.flush()

    def close_stdin(self):
        self._child.stdin.close()

    def send_signal(self, number):
        self._child.send_signal(number)

    def wait(self, timeout=LIMIT):
        """Waits for the end; returns the exit code, all output read."""
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self.text()}") from None
        for reader in self._readers:
            reader.join(timeout)
        return self._child.returncode

    def kill(self):
        """Ends it with SIGKILL, as a power cut would."""
        if self.returncode is None:
            self._child.kill()
        self._child.wait(LIMIT)

    def stop(self, number=signal.SIGTERM):
        """Asks it to end, then waits; returns the exit code."""
        if self.returncode is None:
            self.send_signal(number)
        return self.wait()

    def clean_up(self):
        """The end of a test: never leaves anything running, never fails."""
        if self.returncode is None:
            self._child.terminate()
            try:
                self._child.wait(2)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait(LIMIT)
        if self._child.stdin:
            try:
                self._child.stdin.close()
            except BrokenPipeError:
                pass

    def _read(self, name, pipe):
        for raw in pipe:
            line = raw.decode(errors="replace").rstrip("\n")
            with self._changed:
                self._lines[name].append(line)
                self._changed.notify_all()
        with self._changed:
            self._open.discard(name)
            self._changed.notify_all()


def run(argv, *, stdin=b"", env=None, timeout=LIMIT):
    """Runs a program to its end; returns subprocess.CompletedProcess with bytes."""
    return subprocess.run(
        [str(part) for part in argv], input=stdin, capture_output=True, env=env, timeout=timeout
    )


def wait_until(condition, what, timeout=LIMIT):
    """Polls for something that no event announces (a port that answers, a file that appears)."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.02)


def home_environment(home, **more):
    """An environment whose user has an empty home, so nothing kept by one test reaches another."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DECLIC_"))}
    env["HOME"] = str(home)
    env.update(more)
    return env
