"""Worker processes that do not import the caller's main module.

The standard pools start a worker by importing the script that started them, so a script without
``if __name__ == "__main__"`` would start itself again.  Here a worker is a fresh interpreter that imports one named
function, reads pickled tasks from its input and writes pickled answers.  A worker that dies costs one task, no more.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any

_SIZE = struct.Struct("<Q")
_START = "import sys; sys.path[:] = {path!r}; from {module} import serve; serve({function!r})"


def run(function: str, tasks: Sequence[Any], workers: int) -> Iterator[tuple[Any, Any]]:
    """Yield (task, answer) as the answers come; an answer is an `Exception` if the worker died.

    Parameters
    ----------
    function : "module:name", a function of one task; tasks and answers must pickle
    tasks : handed out in order
    workers : number of processes

    Closing the generator, or an exception in its caller, ends the workers at once.
    """
    todo: queue.SimpleQueue[Any] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    for task in tasks:
        todo.put(task)
    crew = [_Worker(function, todo, done) for _ in range(workers)]
    try:
        for worker in crew:
            worker.thread.start()
        received = 0
        while received < len(tasks):
            try:
                answer = done.get(timeout=0.1)  # short, so that signals are answered
            except queue.Empty:
                continue
            received += 1
            yield answer
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    """One process and the thread that feeds it; the process is started again after it has died."""

    def __init__(self, function: str, todo: queue.SimpleQueue[Any], done: queue.SimpleQueue[tuple[Any, Any]]) -> None:
        self.function, self.todo, self.done = function, todo, done
        self.process: subprocess.Popen[bytes] | None = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._feed, daemon=True)

    def _feed(self) -> None:
        while not self.ended.is_set():
            try:
                task = self.todo.get_nowait()
            except queue.Empty:
                break
            try:
                answer = self._ask(task)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                status = self._discard()
                answer = RuntimeError(f"the worker process ended (status {status}): {error or 'no answer'}")
            if not self.ended.is_set():
                self.done.put((task, answer))
        self._discard()

    def _ask(self, task: Any) -> Any:
        if self.process is None:
            self.process = _start(self.function)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        _send(self.process.stdin, task)
        return _receive(self.process.stdout)

    def _discard(self) -> int | None:
        process, self.process = self.process, None
        if process is None:
            return None
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            return process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.ended.set()
        process = self.process
        if process is not None and process.poll() is None:
            process.kill()
        if self.thread.is_alive():
            self.thread.join(timeout=3)


def _start(function: str) -> subprocess.Popen[bytes]:
    code = _START.format(path=sys.path, module=__name__, function=function)
    # its own session: Ctrl-C at the terminal reaches the parent only, which then ends the workers
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )


def _send(stream: IO[bytes], thing: Any) -> None:
    data = pickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_SIZE.pack(len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(_SIZE.size)
    if len(head) < _SIZE.size:
        raise EOFError
    (size,) = _SIZE.unpack(head)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def serve(function: str) -> None:
    """Answer tasks until the input ends; what a worker process runs."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a task prints must not get between the answers
    module, _, name = function.partition(":")
    call = getattr(importlib.import_module(module), name)
    tasks = sys.stdin.buffer
    while True:
        try:
            task = _receive(tasks)
        except EOFError:
            return
        _send(answers, call(task))
