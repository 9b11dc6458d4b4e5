"""Previews on their way out and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hashmatch.model.previews import Preview, PreviewedBenign, PreviewedScreening, PreviewTally
from hashmatch.model.verdicts import Kind, Verdict
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.previews import preview_from_wire, preview_to_wire
from tests.support import EVIDENCE, INSTANTS, PATIENT, REFS

COUNTS = st.integers(0, 2**62)
VERDICTS = st.sampled_from(Verdict)
SHOWN = st.lists(EVIDENCE, max_size=2).map(tuple)
TALLIES = st.builds(
    PreviewTally,
    *[COUNTS] * 3,
    st.dictionaries(st.sampled_from(Kind), COUNTS),
    *[COUNTS] * 5,
)
PREVIEWS = st.builds(
    Preview,
    COUNTS,
    st.lists(st.sampled_from(Kind)).map(tuple),
    COUNTS,
    TALLIES,
    TALLIES,
    st.lists(
        st.builds(PreviewedScreening, st.text(), VERDICTS, INSTANTS, VERDICTS, SHOWN), max_size=2
    ).map(tuple),
    st.lists(st.builds(PreviewedBenign, REFS, VERDICTS, SHOWN), max_size=2).map(tuple),
)


@PATIENT
@given(PREVIEWS)
def test_a_preview_comes_back_as_it_went(preview: Preview) -> None:
    """Somebody would approve what would hold a thousand uploads."""
    message = pb.Preview.FromString(preview_to_wire(preview).SerializeToString())
    assert preview_from_wire(message) == preview
