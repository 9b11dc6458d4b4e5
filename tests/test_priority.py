"""No test makes the machine wait for it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading

import av
import numpy as np


def encode() -> None:
    """A frame, by the encoder that wants to be real-time."""
    with av.open(io.BytesIO(), "w", format="mp4") as container:
        stream = container.add_stream("libsvtav1", rate=25, options={"preset": "12"})
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        black = np.zeros((96, 96, 3), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        container.mux(stream.encode())


def test_an_encoder_makes_nothing_real_time() -> None:
    """A server or a viewer that a later test starts would stop the whole machine."""
    seen: list[int] = []

    def work() -> None:
        encode()
        seen.append(os.sched_getscheduler(0))

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [os.SCHED_OTHER] * 2


def test_no_program_that_is_started_may_be_real_time() -> None:
    """The right would come back with the next program that root starts."""
    code = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr
