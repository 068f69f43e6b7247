"""What is seen: events in, state out, and the lines that are drawn from it."""

from __future__ import annotations

from msgspec import structs
from rich.cells import cell_len

from meshchat import control
from meshchat.view import lines
from meshchat.view.lines import text_of
from meshchat.view.reduce import INFO_S, reduce
from meshchat.view.signs import DRAWN, PLAIN, bar, sparkline
from meshchat.view.state import (
    TRAIL_MAX,
    FiguresRead,
    Happening,
    Linked,
    State,
    Ticked,
    Told,
    Unlinked,
)
from meshchat.view.story import LINES_MAX, Story
from tests.scripted_daemon import ADA, BOB, EVE, KITCHEN, Script, member, room, said, summary


def after(*events: Happening, state: State | None = None, now: float = 10.0) -> State:
    state = state or State()
    for event in events:
        state = reduce(state, event, now)
    return state


def figures(*others: control.MemberStatus) -> FiguresRead:
    script = Script()
    script.room = room(*others)
    return FiguresRead(script.status())


def in_kitchen(tmp_path: object = None) -> State:
    script = Script()
    script.room, script.rooms = room(member(BOB, "bob", coordinator=True)), (summary("kitchen", joined=True),)
    return after(Linked(own=True), script.snapshot())


def test_a_snapshot_is_the_whole_truth() -> None:
    state = in_kitchen()
    assert (state.link, state.alias, state.room and state.room.name) == ("live", "ada", "kitchen")
    empty = after(Script().snapshot(), state=state)
    assert empty.room is None
    assert empty.rooms == ()


def test_members_come_speak_change_and_go() -> None:
    eve = member(EVE, "eve")
    state = after(control.MemberJoined(eve), control.Speaking(EVE, True), state=in_kitchen())
    assert state.member(EVE) == structs.replace(eve, speaking=True)
    state = after(control.MemberChanged(structs.replace(eve, muted=True)), state=state)
    assert (seen := state.member(EVE)) is not None
    assert seen.muted
    state = after(control.MemberLeft(EVE, "eve", "lost"), state=state)
    assert state.member(EVE) is None


def test_the_mark_of_the_coordinator_moves() -> None:
    state = after(control.CoordinatorChanged(2, ADA), state=in_kitchen())
    assert state.room is not None
    assert [each.coordinator for each in state.room.members] == [True, False]
    assert state.story.lines[-1].text == "You coordinate now."
    assert after(control.CoordinatorChanged(2, ADA), state=state).story == state.story


def test_a_lost_daemon_takes_everything_with_it_and_says_so() -> None:
    state = after(Unlinked("The daemon ended."), state=in_kitchen())
    assert (state.link, state.room, state.rooms) == ("lost", None, ())
    assert "The daemon ended." in text_of(lines.notice_line(state, DRAWN, 80))


def test_notices_take_turns_and_do_not_pile_up() -> None:
    state = after(Told("warning", "one"), Told("warning", "one"), Told("error", "two"))
    assert state.notice is not None
    assert (state.notice.text, state.notice.more) == ("two", 1)
    gone = after(Ticked(), state=after(Told("info", "three")), now=10.0 + INFO_S)
    assert gone.notice is None


def test_what_grows_is_bounded() -> None:
    state = in_kitchen()
    for turn in range(LINES_MAX + TRAIL_MAX):
        events = control.ChatAdded(said(turn, "eve", "hello")), Told("warning", f"trouble {turn}")
        state = after(*events, figures(member(BOB, "bob", rtt_ms=float(turn))), state=state)
    assert len(state.story.lines) == LINES_MAX
    assert len(state.trails[BOB]) == TRAIL_MAX


def test_figures_of_somebody_who_is_not_here_are_passed_over() -> None:
    state = after(figures(member(EVE, "eve")), state=in_kitchen())
    assert state.member(EVE) is None
    assert EVE not in state.trails


def test_a_line_is_as_wide_as_it_was_told_whatever_the_name() -> None:
    for name in ("bob", "猫" * 16, "W" * 32, "e\u0301" * 16):
        bob = member(BOB, name, rtt_ms=12.0, coordinator=True, muted=True, volume=0.5)
        for columns in (40, 50, 76, 110):
            drawn = lines.member_line(bob, -20.0, columns, DRAWN)
            assert cell_len(text_of(drawn)) == min(columns, lines.ROW_COLUMNS_MAX)
            assert cell_len(text_of(lines.room_line(summary(name), columns, DRAWN))) == columns


def test_the_plain_signs_are_ascii() -> None:
    bob = member(BOB, "bob", rtt_ms=12.0, coordinator=True, speaking=True)
    assert text_of(lines.member_line(bob, -20.0, 60, PLAIN)).isascii()
    assert text_of(lines.room_line(summary("board", locked=True, joined=True), 30, PLAIN)).isascii()


def test_meters_and_sparklines_stay_in_their_columns() -> None:
    assert bar(0.5, 10, PLAIN) == ("#####", ".....")
    assert bar(-1.0, 4, DRAWN) == ("", "····")
    assert bar(9.0, 4, DRAWN) == ("████", "")
    assert sparkline((0.0, None, 5.0, 99.0), 6, PLAIN, 10.0) == "  _ +#"


def test_long_words_are_folded() -> None:
    assert lines.folded("a bb " + "c" * 7, 4) == ["a bb", "cccc", "ccc"]
    assert lines.folded("", 4) == [""]


def test_an_empty_list_says_where_it_looks() -> None:
    script = Script()
    state = after(Ticked(), state=after(Linked(own=True), script.snapshot()), now=22.0)
    said = " ".join(text_of(each) for each in lines.empty_rooms(state, DRAWN))
    assert "12 s" in said
    assert "192.168.1.4" in said
    assert KITCHEN not in said


def texts(story: Story) -> list[str]:
    return [line.text for line in story.lines]


def test_the_chat_has_the_order_it_was_given_however_late_a_line_comes() -> None:
    story = Story().add(said(3, "bob", "three")).add(said(1, "eve", "one")).add(said(2, "bob", "two"))
    assert texts(story) == ["one", "two", "three"]
    assert story.add(said(2, "bob", "two")) == story
    assert texts(story.remark("note", "last", 0)) == ["one", "two", "three", "last"]


def test_what_came_while_one_was_away_is_counted_and_marked() -> None:
    story = Story().add(said(1, "bob", "old")).went_away().add(said(2, "bob", "new")).add(said(3, "bob", "newer"))
    drawn = [text_of(each) for each in lines.story_lines(story, 40, DRAWN)]
    assert story.unread == 2
    assert ["new" in each and "bob" not in each for each in drawn] == [False, True, False, False]
    assert story.came_back().unread_from == story.unread_from
    assert story.add(said(4, "ada", "mine", you=True)).unread == 0


def test_reading_the_chat_again_keeps_the_remarks_and_tells_nothing_twice() -> None:
    story = Story().add(said(1, "bob", "one")).remark("trouble", "the microphone is gone", 5)
    again = story.reread((said(1, "bob", "one"), said(2, "bob", "two")))
    assert texts(again) == ["one", "two", "the microphone is gone"]
    assert texts(again.left()) == ["the microphone is gone"]


def test_links_are_shown_as_links_and_mentions_are_finished() -> None:
    pieces = lines.linked("see https://example.org/x now")
    assert ("https://example.org/x", "link") in pieces
    assert lines.finished_mention("hello @bo", ("eve", "bob")) == "hello @bob"
    assert lines.finished_mention("hello bo", ("bob",)) is None


def test_a_microphone_that_is_not_there_is_said_where_one_looks() -> None:
    gone = control.SelfChanged("ada", False, False, "microphone default (not there: silence)", "speaker Headset")
    state = after(gone, state=in_kitchen())
    assert lines.own_sound(state, microphone=True) == ("no microphone", "bad")
    assert lines.own_sound(state, microphone=False) == ("sound on", "good")
    muted = after(control.SelfChanged("ada", True, True, "tone", "null"), state=state)
    assert [lines.own_sound(muted, each)[0] for each in (True, False)] == ["mic muted", "sound off"]
