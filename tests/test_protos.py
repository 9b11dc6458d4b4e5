"""The rules of the protos, and that what was released stays as it was."""

from __future__ import annotations

import copy
import enum
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from hashmatch import errors
from hashmatch.model import callers, cases, imports, verdicts
from hashmatch.v1 import (
    access_service_pb2,
    blocklist_service_pb2,
    common_pb2,
    errors_pb2,
    review_service_pb2,
)
from tests.data import release

RELEASED = sorted(release.FOLDER.glob("released_*.binpb"))
PACKAGE = "hashmatch.v1"

Field = FieldDescriptorProto


@pytest.fixture(scope="module")
def described() -> FileDescriptorSet:
    """The protos of now, with comments."""
    return release.describe(comments=True)


@pytest.fixture(scope="module")
def messages(described: FileDescriptorSet) -> dict[str, DescriptorProto]:
    """All messages by name."""
    return {each.name: each for file in described.file for each in file.message_type}


@pytest.fixture(scope="module")
def enums(described: FileDescriptorSet) -> dict[str, EnumDescriptorProto]:
    """All enums by name."""
    return {each.name: each for file in described.file for each in file.enum_type}


@pytest.fixture(scope="module")
def methods(described: FileDescriptorSet) -> list[MethodDescriptorProto]:
    """All methods of all services."""
    return [
        method for file in described.file for service in file.service for method in service.method
    ]


def fields(messages: dict[str, DescriptorProto]) -> Iterator[tuple[str, Field]]:
    """All fields, each with its full name."""
    for message in messages.values():
        for field in message.field:
            yield f"{message.name}.{field.name}", field


def local(type_name: str) -> str:
    """The name of a message of ours, without its package."""
    return type_name.removeprefix(f".{PACKAGE}.")


def test_files_lie_where_their_package_says(described: FileDescriptorSet) -> None:
    """A client generated in another language would look for the types in the wrong package."""
    names = {file.name for file in described.file}
    required = {"common", "errors", "screening_service", "blocklist_service"}
    assert {f"hashmatch/v1/{name}.proto" for name in required} <= names
    for file in described.file:
        assert file.package == PACKAGE
        assert re.fullmatch(r"hashmatch/v1/(common|errors|[a-z]+_service)\.proto", file.name)
        assert file.syntax == "proto3"
        assert bool(file.service) == file.name.endswith("_service.proto")


def test_every_method_has_messages_of_its_own(
    described: FileDescriptorSet, methods: list[MethodDescriptorProto]
) -> None:
    """A message shared by two methods cannot grow for one of them without the other."""
    services = [service.name for file in described.file for service in file.service]
    assert services
    assert all(name.endswith("Service") for name in services)
    for method in methods:
        assert local(method.input_type) == f"{method.name}Request"
        assert local(method.output_type) == f"{method.name}Response"
    assert max(Counter(method.name for method in methods).values()) == 1


def test_requests_and_responses_belong_to_methods(
    messages: dict[str, DescriptorProto], methods: list[MethodDescriptorProto]
) -> None:
    """A request left over from a method that is gone would puzzle whoever reads the protos."""
    used = {local(name) for each in methods for name in (each.input_type, each.output_type)}
    named = {name for name in messages if name.endswith(("Request", "Response"))}
    assert named == used


def test_enum_values_carry_their_prefix_and_begin_unspecified(
    enums: dict[str, EnumDescriptorProto],
) -> None:
    """A field that was not set would read as a real value, e.g. as a verdict."""
    for each in enums.values():
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", each.name).upper() + "_"
        assert each.value[0].name == f"{prefix}UNSPECIFIED"
        assert each.value[0].number == 0
        for value in each.value:
            assert re.fullmatch(f"{prefix}[A-Z0-9_]+", value.name)


def test_everything_has_a_comment(described: FileDescriptorSet) -> None:
    """A caller would have to guess a unit, a range or what absence means."""
    without = [name for file in described.file for name in uncommented(file)]
    assert without == []


def uncommented(file: FileDescriptorProto) -> Iterator[str]:
    """Names of what has no comment, or one that says less than two words."""
    comments = {
        tuple(place.path): place.leading_comments.strip()
        for place in file.source_code_info.location
    }
    for path, name in named(file):
        if not re.search(r"\w+\W+\w+|See \w+|Likewise\.|The \w+\.", comments.get(path, "")):
            yield f"{file.name}: {name}"


def named(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Everything that wants a comment: its path in the descriptor, and its name."""
    for number, message in enumerate(file.message_type):
        yield (4, number), message.name
        assert not message.nested_type, "nested messages are hard to name in other languages"
        for place, field in enumerate(message.field):
            yield (4, number, 2, place), f"{message.name}.{field.name}"
        optional = {field.oneof_index for field in message.field if field.proto3_optional}
        for place, oneof in enumerate(message.oneof_decl):
            if place not in optional:
                yield (4, number, 8, place), f"{message.name}.{oneof.name}"
    for number, each in enumerate(file.enum_type):
        yield (5, number), each.name
        for place, value in enumerate(each.value):
            yield (5, number, 2, place), value.name
    for number, service in enumerate(file.service):
        yield (6, number), service.name
        for place, method in enumerate(service.method):
            yield (6, number, 2, place), f"{service.name}.{method.name}"


def test_comments_are_looked_for_everywhere(described: FileDescriptorSet) -> None:
    """The test above would hold for protos without any comment if it looked at the wrong paths."""
    for file in described.file:
        bare = copy.deepcopy(file)
        for place in bare.source_code_info.location:
            place.ClearField("leading_comments")
        assert len(list(uncommented(bare))) == len(list(named(file))) > 0


def test_digests_distances_and_times_have_one_type(messages: dict[str, DescriptorProto]) -> None:
    """Callers would have to convert seconds or hex digits in one field and not in another."""
    seen: Counter[str] = Counter()
    for name, field in fields(messages):
        last = field.name
        assert field.type not in (Field.TYPE_FLOAT, Field.TYPE_DOUBLE), name
        if last in ("digests", "sha256", "digest", "hash"):
            assert field.type == Field.TYPE_BYTES, name
        elif "distance" in last or last == "threshold":
            assert field.type == Field.TYPE_UINT32, name
        elif last.endswith("_ms"):
            assert field.type == Field.TYPE_INT64, name
        elif last.endswith(("_time", "_since", "_until")):
            assert field.type_name == ".google.protobuf.Timestamp", name
        elif last in ("duration", "elapsed"):
            assert field.type_name == ".google.protobuf.Duration", name
        else:
            continue
        seen[last] += 1
    assert {"digests", "max_distance", "duration_ms", "create_time", "elapsed"} <= set(seen)


def test_times_are_named_after_their_unit(messages: dict[str, DescriptorProto]) -> None:
    """A number named only 'duration' would be taken for seconds by one caller and ms by another."""
    for name, field in fields(messages):
        if re.search(r"duration|pts|gap|start|(?<!app)end\b", field.name) and not field.type_name:
            assert field.name.endswith("_ms"), name


def first_fields(
    method: MethodDescriptorProto, messages: dict[str, DescriptorProto]
) -> dict[str, Field]:
    """The fields a call begins with: those of the request, or of the header of its stream."""
    request = messages[local(method.input_type)]
    if method.client_streaming:
        request = messages[local(request.field[0].type_name)]
    return {field.name: field for field in request.field}


def test_whatever_changes_state_takes_a_request_id(
    methods: list[MethodDescriptorProto], messages: dict[str, DescriptorProto]
) -> None:
    """A pipeline that retries a call could make two entries, or judge a media twice."""
    changing = 0
    for method in methods:
        has_id = "request_id" in first_fields(method, messages)
        assert has_id != method.name.startswith(("Get", "List", "Watch", "Export", "Preview")), (
            method.name
        )
        changing += has_id
    assert changing >= 9


def test_lists_have_pages(
    methods: list[MethodDescriptorProto], messages: dict[str, DescriptorProto]
) -> None:
    """A list that outgrows one message could not be read any more."""
    lists = [method for method in methods if method.name.startswith("List")]
    assert len(lists) >= 3
    for method in lists:
        request = first_fields(method, messages)
        assert request["page_size"].type == Field.TYPE_INT32
        assert request["page_token"].type == Field.TYPE_STRING
        response = messages[local(method.output_type)].field
        assert [each.name for each in response][1:2] == ["next_page_token"]
        assert response[0].label == Field.LABEL_REPEATED


def test_what_can_be_edited_has_an_etag(
    methods: list[MethodDescriptorProto], messages: dict[str, DescriptorProto]
) -> None:
    """Two people who edit one bank would silently undo each other's change."""
    edited = [
        (method, found[2])
        for method in methods
        if (found := re.fullmatch(r"(Update|Archive)(\w+)", method.name))
    ]
    assert edited
    for method, resource in edited:
        assert first_fields(method, messages)["etag"].type == Field.TYPE_STRING
        assert any(field.name == "etag" for field in messages[resource].field)


def test_uploads_are_a_header_and_chunks(
    methods: list[MethodDescriptorProto], messages: dict[str, DescriptorProto]
) -> None:
    """A pipeline would have to hold a whole video in memory to send it."""
    streams = [method for method in methods if method.client_streaming]
    names = {method.name for method in streams}
    assert names == {"ScreenUpload", "CreateEntryFromMedia", "ImportEntries"}
    for method in streams:
        assert not method.server_streaming
        request = messages[local(method.input_type)]
        assert [field.name for field in request.field] == ["header", "chunk"]
        assert all(field.HasField("oneof_index") for field in request.field)
        assert request.field[1].type == Field.TYPE_BYTES


def test_error_reasons_are_those_of_the_exceptions() -> None:
    """A client could not look up what an error's reason means."""
    raised = set()
    classes = [errors.HashmatchError]
    while classes:
        cls = classes.pop()
        raised.add(cls.reason)
        classes += cls.__subclasses__()
    listed = {
        name.removeprefix("ERROR_REASON_") for name in dict(errors_pb2.ErrorReason.items())
    } - {"UNSPECIFIED"}
    assert raised == listed


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (verdicts.Kind, common_pb2.Kind),
        (verdicts.Part, common_pb2.Part),
        (verdicts.Turn, common_pb2.Turn),
        (verdicts.Verdict, common_pb2.Verdict),
        (verdicts.VerdictReason, common_pb2.VerdictReason),
        (verdicts.Action, common_pb2.Action),
        (verdicts.BankState, blocklist_service_pb2.BankState),
        (cases.CaseType, review_service_pb2.CaseType),
        (cases.CaseState, review_service_pb2.CaseState),
        (cases.CaseDecision, common_pb2.CaseDecision),
        (verdicts.BankMode, blocklist_service_pb2.BankMode),
        (verdicts.Effect, common_pb2.Effect),
        (verdicts.EntryState, blocklist_service_pb2.EntryState),
        (verdicts.ChangeType, blocklist_service_pb2.ChangeType),
        (verdicts.Activation, blocklist_service_pb2.Activation),
        (verdicts.Category, blocklist_service_pb2.Category),
        (imports.Format, blocklist_service_pb2.Format),
        (imports.ImportState, blocklist_service_pb2.ImportState),
        (imports.ProblemCode, blocklist_service_pb2.ProblemCode),
        (callers.Role, access_service_pb2.Role),
        (callers.Credential, access_service_pb2.Credential),
        (callers.CallerState, access_service_pb2.CallerState),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_enumerations_are_the_same_on_both_sides(ours: type[enum.IntEnum], theirs: Any) -> None:
    """A verdict would change its meaning on its way to the caller."""
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", ours.__name__).upper() + "_"
    listed = {name.removeprefix(prefix): number for name, number in theirs.items()}
    assert listed.pop("UNSPECIFIED") == 0
    assert {member.name: member.value for member in ours} == listed


def test_every_enumeration_of_the_model_is_compared() -> None:
    """A new enumeration could differ from its proto without anybody noticing."""
    compared = test_enumerations_are_the_same_on_both_sides.pytestmark[0].args[1]
    of_callers = {"Role", "Credential", "CallerState"}
    of_imports = {"Format", "ImportState", "ProblemCode"}
    of_cases = {"CaseType", "CaseState", "CaseDecision"}
    others = of_callers | of_imports | of_cases
    assert {ours.__name__ for ours, _ in compared} == {*verdicts.__all__, *others}


# What was released


def breaks(old: FileDescriptorSet, new: FileDescriptorSet) -> list[str]:
    """What a program built with ``old`` could not say to, or hear from, one built with ``new``."""
    before, after = inventory(old), inventory(new)
    return [
        f"{name} was {what}, is {after.get(name, 'gone')}"
        for name, what in before.items()
        if after.get(name) != what
    ]


def inventory(described: FileDescriptorSet) -> dict[str, str]:
    """Everything that may never change: its name, and all that matters on the wire."""
    found: dict[str, str] = {}
    for file in described.file:
        for message in file.message_type:
            found[f"message {file.package}.{message.name}"] = "a message"
            for field in message.field:
                oneof = message.oneof_decl[field.oneof_index].name if in_oneof(field) else ""
                # By number, because that is what travels, and so that a name may not change either.
                found[f"field {file.package}.{message.name} = {field.number}"] = (
                    f"{field.name}: {field.type} {field.type_name} {field.label} {oneof} "
                    f"{'optional' if field.proto3_optional else ''} {field.json_name}"
                )
        for each in file.enum_type:
            found[f"enum {file.package}.{each.name}"] = "an enum"
            for value in each.value:
                found[f"value {file.package}.{value.name}"] = f"{value.number}"
        for service in file.service:
            found[f"service {file.package}.{service.name}"] = "a service"
            for method in service.method:
                found[f"method {file.package}.{service.name}/{method.name}"] = (
                    f"{method.input_type} {method.client_streaming} -> "
                    f"{method.output_type} {method.server_streaming}"
                )
    return found


def in_oneof(field: Field) -> bool:
    """True if the field belongs to a oneof that somebody wrote."""
    return field.HasField("oneof_index") and not field.proto3_optional


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_what_was_released_is_as_it_was(path: Any, described: FileDescriptorSet) -> None:
    """A pipeline built against that release would misread the server after an update."""
    released = FileDescriptorSet.FromString(path.read_bytes())
    assert inventory(released), "an empty release proves nothing"
    assert breaks(released, described) == []


def test_something_was_released() -> None:
    """The test above would compare with nothing."""
    assert release.FOLDER / "released_v0_1_0.binpb" in RELEASED


def _message(described: FileDescriptorSet, name: str) -> DescriptorProto:
    all_of_them = itertools.chain.from_iterable(file.message_type for file in described.file)
    return next(each for each in all_of_them if each.name == name)


def _screening_service(described: FileDescriptorSet) -> FileDescriptorProto:
    return next(file for file in described.file if file.service and "screening" in file.name)


def _first_enum(described: FileDescriptorSet) -> EnumDescriptorProto:
    return next(file for file in described.file if file.enum_type).enum_type[0]


def _renames_a_field(described: FileDescriptorSet) -> None:
    _message(described, "Screening").field[0].name = "id"


def _renumbers_a_field(described: FileDescriptorSet) -> None:
    _message(described, "Screening").field[0].number = 99


def _retypes_a_field(described: FileDescriptorSet) -> None:
    _message(described, "Signals").field[1].type = Field.TYPE_STRING


def _repeats_a_field(described: FileDescriptorSet) -> None:
    _message(described, "Screening").field[1].label = Field.LABEL_REPEATED


def _moves_a_field_out_of_its_oneof(described: FileDescriptorSet) -> None:
    _message(described, "ScreenUploadRequest").field[0].ClearField("oneof_index")


def _makes_an_optional_field_plain(described: FileDescriptorSet) -> None:
    field = next(f for f in _message(described, "UpdateBankRequest").field if f.name == "name")
    field.proto3_optional = False


def _removes_a_field(described: FileDescriptorSet) -> None:
    del _message(described, "Coverage").field[3]


def _removes_a_message(described: FileDescriptorSet) -> None:
    del described.file[0].message_type[0]


def _renames_an_enum_value(described: FileDescriptorSet) -> None:
    _first_enum(described).value[1].name += "_2"


def _renumbers_an_enum_value(described: FileDescriptorSet) -> None:
    _first_enum(described).value[1].number = 99


def _removes_an_enum_value(described: FileDescriptorSet) -> None:
    del _first_enum(described).value[-1]


def _renames_a_method(described: FileDescriptorSet) -> None:
    _screening_service(described).service[0].method[0].name = "Screen"


def _removes_a_method(described: FileDescriptorSet) -> None:
    del _screening_service(described).service[0].method[0]


def _makes_a_method_stream(described: FileDescriptorSet) -> None:
    _screening_service(described).service[0].method[1].server_streaming = True


def _renames_the_package(described: FileDescriptorSet) -> None:
    described.file[0].package = "hashmatch.v2"


@pytest.mark.parametrize(
    "change",
    [
        _renames_a_field,
        _renumbers_a_field,
        _retypes_a_field,
        _repeats_a_field,
        _moves_a_field_out_of_its_oneof,
        _makes_an_optional_field_plain,
        _removes_a_field,
        _removes_a_message,
        _renames_an_enum_value,
        _renumbers_an_enum_value,
        _removes_an_enum_value,
        _renames_a_method,
        _removes_a_method,
        _makes_a_method_stream,
        _renames_the_package,
    ],
    ids=lambda change: change.__name__.strip("_"),
)
def test_a_change_that_breaks_callers_is_noticed(
    change: Callable[[FileDescriptorSet], None], described: FileDescriptorSet
) -> None:
    """This sort of change would reach callers unnoticed."""
    changed = copy.deepcopy(described)
    change(changed)
    assert breaks(described, changed)


def test_additions_are_allowed(described: FileDescriptorSet) -> None:
    """The protos could not grow any more."""
    grown = copy.deepcopy(described)
    _message(grown, "Screening").field.add(name="more", number=99, type=Field.TYPE_STRING)
    _first_enum(grown).value.add(name="KIND_MORE", number=99)
    grown.file[0].message_type.add(name="More")
    assert breaks(described, grown) == []
