"""What a worker and its parent say to each other: it arrives as it was said, or is refused."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashmatch.decoding import channel
from hashmatch.decoding.channel import BadMessage, Done, Job
from hashmatch.engine.sampling.frames import Density
from hashmatch.model.records import Coverage, DecodeLimits, MediaInfo, Reason
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Kind, Part, Turn, VerdictReason

counts = st.integers(0, 2**62 - 1)
small = st.integers(0, 2**31 - 1)
texts = st.text(max_size=200).filter(str.isprintable)
reasons = st.lists(st.builds(Reason, st.sampled_from(VerdictReason), texts), max_size=16).map(tuple)
_COUNTS = {
    "streams": small,
    "seen_permille": st.integers(0, 1000),
    "miss_per_million": st.integers(0, 1_000_000),
}
coverages = st.builds(
    Coverage,
    **{
        name: _COUNTS.get(name, counts)
        for name in Coverage.__slots__
        if name not in ("complete", "by_caller")
    },
)
dones = st.builds(
    lambda media, coverage, why: Done(media, replace(coverage, complete=not why), why),
    st.builds(MediaInfo, format=texts, width=small, height=small, duration_header_ms=counts),
    coverages,
    reasons,
)
jobs = st.builds(
    Job,
    kinds=st.lists(st.sampled_from(Kind), unique=True).map(tuple),
    turns=st.booleans(),
    density=st.builds(
        Density,
        max_gap_ms=st.integers(1, 10**9),
        change_bits=st.integers(0, 256),
        same_bits=st.integers(-1, 256),
        every_frame=st.booleans(),
    ),
    limits=st.builds(
        DecodeLimits,
        max_duration_ms=counts,
        max_frame_pixels=counts,
        max_frames=counts,
        max_streams=counts,
    ),
    seed=st.integers(0, 2**channel.SEED_BITS - 1),
)

VIEWS = np.array([view_code(Part.FULL, turn) for turn in Turn], np.uint8)
NOTHING = Done(MediaInfo(), Coverage(complete=True), ())


@st.composite
def some_signals(draw: st.DrawFn) -> list[Signals]:
    """Signals of some kinds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return [
        Signals(
            kind,
            rng.integers(0, 256, (n, kind.width), np.uint8),
            rng.integers(0, 101, n).astype(np.uint8),
            rng.integers(-(10**6), 10**9, n),
            np.array(
                [view_code(Part.FULL, Turn(turn)) for turn in rng.integers(1, 9, n)], np.uint8
            ),
        )
        for kind in draw(st.lists(st.sampled_from(Kind), max_size=3))
        for n in [draw(st.integers(0, 5))]
    ]


def received(message: bytes) -> tuple[dict[str, Any], bytes]:
    """What the other side makes of a message."""
    header_length, payload_length = channel.lengths(message[: channel.PREFIX.size])
    assert len(message) == channel.PREFIX.size + header_length + payload_length
    end = channel.PREFIX.size + header_length
    return channel.unframe(message[channel.PREFIX.size : end]), message[end:]


@given(some_signals(), dones)
@settings(max_examples=50, deadline=None)
def test_signals_arrive_as_they_were_sent(signals: list[Signals], so_far: Done) -> None:
    """Hashes of an upload would be searched as others."""
    header, payload = received(channel.pack_signals(signals, so_far))
    assert header["type"] == "signals"
    found = channel.parse_signals(header, payload)
    assert [(each.kind, each.columns()) for each in found] == [
        (each.kind, each.columns()) for each in signals
    ]
    assert channel.parse_done(header) == so_far


@given(dones)
@settings(max_examples=50, deadline=None)
def test_the_tally_arrives_as_it_was_sent(done: Done) -> None:
    """The verdict would say that more, or less, was looked at."""
    header, payload = received(channel.pack_done(done))
    assert (header["type"], payload) == ("done", b"")
    assert channel.parse_done(header) == done


@given(jobs)
@settings(max_examples=50, deadline=None)
def test_a_job_arrives_as_it_was_sent(job: Job) -> None:
    """An upload would be looked at by other kinds or limits than its server's."""
    header, _ = received(channel.frame(job.to_header()))
    assert header["type"] == "job"
    assert Job.from_header(header) == job


@given(jobs)
@settings(max_examples=50, deadline=None)
def test_a_seed_is_whole_and_in_no_text_of_a_job(job: Job) -> None:
    """Rounded by a reader of JSON, it would choose other frames; in a log, it would tell which."""
    text = job.to_header()["seed"]
    assert (len(text), int(text, 16)) == (32, job.seed)
    assert "seed" not in repr(job)


def test_seeds_are_never_the_same() -> None:
    """Whoever had one upload screened would know which frames of the next are looked at."""
    drawn = {channel.new_seed() for _ in range(100)}
    assert len(drawn) == 100
    assert max(drawn).bit_length() > 120


def test_a_worker_cannot_say_what_the_file_was() -> None:
    """A broken worker could have an upload recorded under the hash of another."""
    media = MediaInfo(size_bytes=5, sha256=b"x" * 32)
    header, _ = received(channel.pack_done(replace(NOTHING, media=media)))
    assert channel.parse_done(header).media == MediaInfo()
    header["media"]["sha256"] = "00" * 32
    assert channel.parse_done(header).media == MediaInfo()


@given(texts)
def test_what_looks_arrives_as_it_was_said(version: str) -> None:
    """What was seen by this version would be looked at anew for each upload, or never."""
    header, _ = received(channel.pack_ready(version))
    assert header["type"] == "ready"
    assert channel.parse_ready(header) == version
    assert channel.parse_ready({"type": "ready"}) == ""


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([-1, 0, 1, 8, 32, 2**63, 1e300]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
FIELDS = (
    "parts",
    "reasons",
    "media",
    "coverage",
    "media.width",
    "media.format",
    "coverage.frames_decoded",
    "coverage.complete",
    "coverage.longest_unseen_ms",
    "coverage.miss_per_million",
)


def a_signals_message() -> tuple[dict[str, Any], bytes]:
    """A sound one of one hash."""
    signals = Signals.of_file(Kind.SHA1, bytes(20))
    return received(channel.pack_signals([signals], NOTHING))


@given(st.sampled_from(FIELDS), json_values, st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_field_of_any_other_value_is_taken_or_refused(
    field: str, value: object, remove: bool
) -> None:
    """A hostile worker could end the server with an error that nobody expects."""
    header, payload = a_signals_message()
    *outer, last = field.split(".")
    inner = header
    for name in outer:
        inner = inner[name]
    if remove:
        del inner[last]
    else:
        inner[last] = value
    # What comes out of JSON is what can come from a worker.
    header = channel.unframe(json.dumps(header).encode())
    with contextlib.suppress(BadMessage):
        channel.parse_signals(header, payload)
    with contextlib.suppress(BadMessage):
        done = channel.parse_done(header)
        assert done.coverage.complete == (not done.reasons)


@given(
    st.lists(st.lists(json_values | st.integers(0, 60), min_size=0, max_size=6), max_size=3),
    st.binary(max_size=80),
)
@settings(max_examples=150, deadline=None)
def test_parts_and_payload_fit_together_or_are_refused(
    parts: list[list[object]], payload: bytes
) -> None:
    """Bytes of one column would be taken for those of another."""
    header = channel.unframe(json.dumps({"type": "signals", "parts": parts}).encode())
    with contextlib.suppress(BadMessage):
        parsed = channel.parse_signals(header, payload)
        assert b"".join(b"".join(each.columns()) for each in parsed) == payload


@given(st.binary(max_size=60))
@example(b"[" * 60_000)
@example(b'{"type":' * 8000)
@example(b'{"type": "done", "x": ' + b"9" * 5000 + b"}")
@example(b"\xff\xfe")
@example(b'{"type": 1}')
@example(b"[]")
@example(b"null")
@settings(deadline=None)
def test_bytes_are_a_header_or_refused(encoded: bytes) -> None:
    """A hostile worker could end the server with a header that is not one."""
    with contextlib.suppress(BadMessage):
        assert isinstance(channel.unframe(encoded)["type"], str)


@given(st.binary(min_size=8, max_size=8))
@example(b"\0\1\0\0\4\0\0\0")
@example(b"\0\1\0\1\0\0\0\0")
@example(b"\0\0\0\0\4\0\0\1")
@settings(deadline=None)
def test_lengths_are_within_bounds_or_refused(prefix: bytes) -> None:
    """A hostile worker could have the server make room for four gigabytes."""
    header, payload = channel.PREFIX.unpack(prefix)
    if header <= 64 << 10 and payload <= 64 << 20:
        assert channel.lengths(prefix) == (header, payload)
    else:
        with pytest.raises(BadMessage):
            channel.lengths(prefix)


def unsound(**changes: Any) -> dict[str, Any]:
    """The header of a tally with changes by dotted name."""
    header, _ = received(channel.pack_done(NOTHING))
    for name, value in changes.items():
        inner = header
        *outer, last = name.split("__")
        for each in outer:
            inner = inner[each]
        inner[last] = value
    return header


@pytest.mark.parametrize(
    "header",
    [
        unsound(coverage__complete=False),
        unsound(coverage__complete=1),
        unsound(coverage__complete="true"),
        unsound(coverage__frames_decoded=-1),
        unsound(coverage__frames_decoded=True),
        unsound(coverage__frames_decoded=1.0),
        unsound(coverage__frames_decoded=2**62),
        unsound(coverage__seen_permille=1001),
        unsound(coverage__miss_per_million=-1),
        unsound(coverage__miss_per_million=1_000_001),
        unsound(coverage__longest_unseen_ms=None),
        unsound(media__width="1"),
        unsound(media__format="x" * 201),
        unsound(media__format="mp4\n"),
        unsound(media__format=None),
        unsound(coverage__complete=False, reasons=[[12, "cut"]] * 17),
        unsound(coverage__complete=False, reasons=[[12, "\x1b[2J"]]),
        unsound(coverage__complete=False, reasons=[[99, "no such reason"]]),
        unsound(coverage__complete=False, reasons=[[12]]),
        unsound(coverage__complete=False, reasons=["ab", 1]),
    ],
)
def test_an_unsound_tally_is_refused(header: dict[str, Any]) -> None:
    """A broken worker could have an upload pass that nobody looked at."""
    with pytest.raises(BadMessage):
        channel.parse_done(header)


def test_complete_with_a_reason_is_not_complete() -> None:
    """A worker that contradicts itself would be believed."""
    done = channel.parse_done(unsound(coverage__complete=True, reasons=[[12, "cut"]]))
    assert not done.coverage.complete
    assert done.reasons == (Reason(VerdictReason.TRUNCATED, "cut"),)


def test_a_worker_cannot_claim_that_a_caller_hashed_it() -> None:
    """A screening would be marked as one that the pipeline vouches for."""
    assert not channel.parse_done(unsound(coverage__by_caller=True)).coverage.by_caller


def test_the_largest_messages_of_a_sound_worker_fit() -> None:
    """A media with much to say would end as WORKER_DIED."""
    why = tuple(Reason(VerdictReason.CORRUPT, "\N{GRINNING FACE}" * 200) for _ in range(16))
    done = Done(MediaInfo(format="\N{GRINNING FACE}" * 200), Coverage(), why)
    header, _ = received(channel.pack_done(done))
    assert channel.parse_done(header) == done
