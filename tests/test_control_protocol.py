"""The control protocol as words: what accumulates for a slow reader, which lines are requests, what is documented."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshchat import control
from meshchat.control import (
    Answer,
    Command,
    Event,
    Levels,
    MemberChanged,
    MemberStatus,
    Missed,
    Notice,
    RoomSummary,
    Snapshot,
    Speaking,
    Status,
)
from meshchat.remote import backlog as backlogs
from meshchat.remote import protocol
from meshchat.remote.backlog import Backlog

DOCUMENT = Path(__file__).parent.parent / "docs" / "control.md"


def snapshot() -> Snapshot:
    return Snapshot(Status("6b" * 32, "ada", (), 1, "", None, False, False, "default", "default", 0.0, "0"), ())


def bob(level_db: float) -> MemberStatus:
    return MemberStatus(id="bob", alias="bob", you=False, coordinator=False, level_db=level_db)


def test_of_a_state_only_the_latest_is_told_in_its_place_among_the_rest() -> None:
    waiting = Backlog(snapshot)
    events: list[Event] = [
        MemberChanged(bob(-10.0)),
        Notice("info", "one"),
        Speaking("bob", True),
        MemberChanged(bob(-20.0)),
        Notice("info", "two"),
        Speaking("bob", False),
    ]
    for event in events:
        waiting.push(event)
    assert isinstance(waiting.take(), Snapshot)
    assert list(iter(waiting.take, None)) == [events[1], events[3], events[4], events[5]]


def test_too_many_states_give_way_to_a_snapshot() -> None:
    waiting = Backlog(snapshot)
    waiting.push(Notice("info", "kept"))
    for turn in range(backlogs.STATES_MAX + 10):
        waiting.push(Speaking(f"member {turn}", True))
    assert len(waiting) <= backlogs.STATES_MAX + backlogs.HAPPENED_MAX
    told = list(iter(waiting.take, None))
    assert [type(event) for event in told[:2]] == [Missed, Notice]
    assert isinstance(told[2], Snapshot)


events_of_all_sorts = st.one_of(
    st.builds(Notice, st.just("info"), st.text(max_size=3)),
    st.builds(Speaking, st.sampled_from("abc"), st.booleans()),
    st.builds(Levels, st.dictionaries(st.sampled_from("abc"), st.floats(-127, 0), max_size=2)),
)


@given(st.lists(st.one_of(events_of_all_sorts, st.integers(1, 9))))
def test_what_happened_is_told_once_and_in_order_however_it_is_read(script: list[Event | int]) -> None:
    waiting = Backlog(snapshot)
    pushed: list[Event] = []
    told: list[Event] = []
    for step in script:
        if isinstance(step, int):
            told += [event for event in (waiting.take() for _ in range(step)) if event is not None]
        else:
            pushed.append(step)
            waiting.push(step)
    told += list(iter(waiting.take, None))
    assert [event for event in told if isinstance(event, Notice)] == [e for e in pushed if isinstance(e, Notice)]
    for kind in (Speaking, Levels):
        assert [e for e in told if isinstance(e, kind)][-1:] == [e for e in pushed if isinstance(e, kind)][-1:]


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_line_is_a_request_or_one_kind_of_error(line: bytes) -> None:
    try:
        protocol.read_command(line)
    except msgspec.DecodeError:
        number = protocol.request_id(line)
        assert number is None or isinstance(number, int)


def examples() -> list[str]:
    return re.findall(r"^```json\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def decode(text: str) -> msgspec.Struct:
    """One example of the document as the type that its keys promise."""
    keys = json.loads(text).keys()
    if "command" in keys:
        return protocol.read_command(text.encode())
    if "event" in keys:
        event = protocol.read_event(text.encode())
        assert event is not None, text
        return event
    promised = {"answer": Answer, "meshchat": control.Greeting, "token": control.Token, "id": control.Reply}
    wanted = control.Door if "address" in keys else next(kind for key, kind in promised.items() if key in keys)
    decoded = msgspec.json.decode(text, type=wanted)
    assert isinstance(decoded, msgspec.Struct)
    return decoded


@pytest.mark.parametrize("text", examples())
def test_every_example_of_the_document_is_exactly_what_the_types_say(text: str) -> None:
    assert json.loads(msgspec.json.encode(decode(text))) == json.loads(text)


def test_every_command_answer_and_event_is_documented_with_an_example() -> None:
    shown = {type(decode(text)) for text in examples()}
    wanted = {*get_args(Command), *get_args(Answer), *get_args(Event)}
    wanted |= {control.Greeting, control.Reply, control.Token, control.Door}
    assert not wanted - shown


def test_every_field_is_explained_in_the_document() -> None:
    words = set(re.findall(r"`([a-z_]+)`", DOCUMENT.read_text()))
    kinds = {*get_args(Command), *get_args(Answer), *get_args(Event), MemberStatus, RoomSummary, control.RoomStatus}
    kinds |= {control.Greeting, control.Reply, control.Failure, control.Token, control.Door}
    missing = {f"{kind.__name__}.{name}" for kind in kinds for name in kind.__struct_fields__ if name not in words}
    assert not missing
