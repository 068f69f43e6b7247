"""The parts of the chat: clock, pile, budgets, names, and what strangers and liars get out of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from meshchat.errors import Refused, UsageError, WireError
from meshchat.peers import effects as out
from meshchat.peers.arrivals import Arrivals
from meshchat.peers.chat import LIVE, OWN, Chat
from meshchat.peers.history import History
from meshchat.peers.lines import HELD_MAX, Lack, Line, Lines, Tally, id_of, signed_part
from meshchat.peers.mentions import mentions
from meshchat.peers.messages import LENGTH_BYTES, Beat, decode, describe, encode
from meshchat.peers.roomclock import CLOCK_MAX, FREE_MAX, LEAP_MS, STEP_MS, RoomClock
from meshchat.units import TEXT_CHARACTERS_MAX, TEXT_LINES_MAX, PeerId, RoomId, safe_lines
from tests.simulation import Village
from tests.villager import SealingWax

ROOM = RoomId("cd" * 16)
AUTHOR = PeerId("ab" * 32)


def line(clock: int, text: str = "hi", author: PeerId = AUTHOR, room: RoomId = ROOM) -> Line:
    draft = Line(author, clock, 0, "ann", text)
    return structs.replace(draft, proof=SealingWax(author).sign(signed_part(room, draft)))


def village(*names: str) -> Village:
    made = Village(1)
    for name in names:
        made.born(name)
    made.enter(names)
    made.run(5)
    return made


def chat_of(made: Village, name: str) -> Chat:
    room = made.peers[name].node.room
    assert room is not None
    return room.chat


# The clock

steps = st.lists(st.tuples(st.floats(0, 10), st.one_of(st.none(), st.integers(0, CLOCK_MAX))), max_size=30)


@given(steps)
def test_the_clock_never_runs_back_and_every_stamp_is_later_than_all_that_was_told(
    script: list[tuple[float, int | None]],
) -> None:
    clock, now, last, seen = RoomClock(1_800_000_000_000, 5.0), 5.0, 0, 0
    for pause, told in script:
        now += pause
        if told is not None and clock.follow(told, now):
            seen = max(seen, told)
            assert clock.read(now) >= told
        before = clock.read(now)
        stamp = clock.stamp(now)
        assert stamp >= before >= last
        assert stamp > max(last, seen) or stamp == CLOCK_MAX
        last = stamp


def test_clocks_that_are_years_apart_meet_at_once() -> None:
    clock = RoomClock(0, 0.0)
    assert clock.follow(1_800_000_000_000, 10.0)
    assert clock.read(10.0) == 1_800_000_000_000


def test_a_liar_pushes_the_clock_past_half_of_its_range_by_one_leap_a_second_at_most() -> None:
    clock = RoomClock(0, 0.0)
    for _ in range(100):
        clock.follow(CLOCK_MAX, 10.0)
    assert clock.read(10.0) <= FREE_MAX + LEAP_MS
    assert clock.follow(clock.read(10.0) + STEP_MS, 10.0), "but a minute is nobody's lie"


def test_what_most_neighbours_show_is_followed_faster_than_one_liar_and_in_spite_of_it() -> None:
    clock, backed = RoomClock(0, 0.0), FREE_MAX + 10 * LEAP_MS
    clock.follow(CLOCK_MAX, 10.0)
    assert clock.follow(backed, 10.0, backed_ms=backed)


def test_one_neighbour_alone_backs_nobody() -> None:
    made = village("ann", "liar", "eve")
    ann, liar, eve = made.peers.values()
    far = FREE_MAX + 10 * LEAP_MS

    def pushed_to() -> int:
        chat_of(made, "ann").received(ann.node.links[liar.id], Beat(1, 0, 0, None, False, None, 1, tally=tally))
        return chat_of(made, "ann").clock.read(made.clock(ann))

    tally = Tally(0, far, "0" * 16)
    assert pushed_to() <= FREE_MAX + LEAP_MS
    chat_of(made, "ann")._views[eve.id].tally = tally
    assert pushed_to() == far


def test_who_is_gone_without_a_word_backs_nobody() -> None:
    made = village("ann", "liar", "accomplice", "eve")
    ann, liar, accomplice, _ = made.peers.values()
    chat, far = chat_of(made, "ann"), FREE_MAX + 10 * LEAP_MS
    tally = Tally(0, far, "0" * 16)
    made.crash("accomplice")
    made.run(0.1)
    chat._views[accomplice.id].tally = tally
    made.run(10)
    chat.received(ann.node.links[liar.id], Beat(1, 0, 0, None, False, None, 1, tally=tally))
    assert chat.clock.read(made.clock(ann)) < FREE_MAX + 2 * LEAP_MS


# The pile


@given(st.lists(st.integers(0, 5), max_size=30), st.randoms())
def test_two_that_hold_the_same_lines_hold_them_in_the_same_order(clocks: list[int], chance: random.Random) -> None:
    lines = [line(clock, str(number)) for number, clock in enumerate(clocks)]
    one, other = History(), History()
    for pile in (one, other):
        chance.shuffle(lines)
        for each in lines:
            pile.add(id_of(signed_part(ROOM, each)), each)
    assert one.lines(one.held(0, CLOCK_MAX)) == other.lines(other.held(0, CLOCK_MAX))
    assert one.digest(2, 4) == other.digest(2, 4)
    assert [each.clock for each in one.lines(one.held(2, 4))] == sorted(clock for clock in clocks if 2 < clock <= 4)


def test_a_full_pile_drops_its_oldest_quarter_and_tells_how_far_it_goes_back() -> None:
    pile = History()
    for clock in range(1, HELD_MAX + 2):
        pile.add(id_of(signed_part(ROOM, line(clock))), line(clock))
    assert len(pile) == 0.75 * HELD_MAX
    assert pile.floor == HELD_MAX + 1 - len(pile)
    huge = History()
    for clock in range(1, HELD_MAX):
        huge.add(id_of(signed_part(ROOM, line(clock))), line(clock, "𝄞" * TEXT_CHARACTERS_MAX))
    assert len(huge) < 140, "long lines in letters of four bytes are fewer"


def test_when_all_have_written_more_than_anybody_keeps_all_keep_the_same() -> None:
    made = village("ann", "bob", "eve")
    made.cut(["ann"], ["bob", "eve"])
    for number in range(HELD_MAX + 100):
        name = ("ann", "bob", "eve")[number % 3]
        chat_of(made, name).say(str(number), made.clock(made.peers[name]))
        made.tell(name, lambda _: None)
        made.run(0.5)
    made.heal()
    made.run(30)
    ann, bob, eve = (set(peer.chat()) for peer in made.peers.values())
    assert bob == eve
    assert set(map(str, range(300, HELD_MAX + 100))) <= ann & bob


# Limits


def test_who_writes_too_fast_is_told_to_wait() -> None:
    made = village("ann", "bob")
    now = made.clock(made.peers["ann"])
    for number in range(OWN.burst):
        chat_of(made, "ann").say(str(number), now)
    with pytest.raises(Refused, match="wait 1"):
        chat_of(made, "ann").say("too much", now)
    chat_of(made, "ann").say("after a while", now + 1.1)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\x1b\x07", "x" * (TEXT_CHARACTERS_MAX + 1), "x\n" * TEXT_LINES_MAX + "x"]
)
def test_a_text_that_shows_nothing_or_too_much_is_refused(text: str) -> None:
    made = village("ann")
    with pytest.raises(UsageError, match="2000 characters"):
        chat_of(made, "ann").say(text, made.clock(made.peers["ann"]))


def test_a_flood_is_dropped_counted_and_said() -> None:
    made = village("ann", "bob")
    ann, bob = made.peers["ann"], made.peers["bob"]
    assert ann.node.room is not None
    for number in range(100):
        clock = chat_of(made, "ann").clock.stamp(made.clock(ann))
        made.inject("ann", bob.id, Lines((line(clock, str(number), ann.id, ann.node.room.id),)))
    made.run(0.5)
    assert LIVE.burst <= len(bob.chat()) <= LIVE.burst + 2
    assert chat_of(made, "bob").dropped == 100 - len(bob.chat())
    assert [event for _, event in bob.seen(out.Flooded)] == [out.Flooded(ann.id)]


def test_words_put_into_anothers_mouth_end_the_link() -> None:
    made = village("ann", "bob", "eve")
    ann, bob, eve = made.peers.values()
    forged = structs.replace(line(chat_of(made, "bob").clock.stamp(made.clock(bob)), "I am eve", eve.id), proof=b"no")
    made.inject("ann", bob.id, Lines((forged,)))
    made.run(1)
    assert bob.chat() == []
    assert bob.refused == [], "nobody asked ann for eve's words, so they were not even looked at"
    signed_for_another_room = line(chat_of(made, "ann").clock.stamp(made.clock(ann)), "elsewhere", ann.id)
    made.inject("ann", bob.id, Lines((signed_for_another_room,)))
    made.run(1)
    assert bob.refused == ["a line of the chat that its author did not sign"]
    assert bob.chat() == []


def test_real_words_that_nobody_asked_for_are_not_taken_from_a_third() -> None:
    made = village("ann", "bob", "eve")
    bob, eve = made.peers["bob"], made.peers["eve"]
    assert bob.node.room is not None
    real = line(chat_of(made, "bob").clock.read(made.clock(bob)) + 5, "real", eve.id, bob.node.room.id)
    made.inject("ann", bob.id, Lines((real,)))
    made.run(1)
    assert (bob.chat(), bob.refused, chat_of(made, "bob").dropped) == ([], [], 1)


def test_yesterdays_words_are_not_taken_though_they_are_real_and_asked_for() -> None:
    made = village("ann", "bob", "eve")
    ann, bob, eve = made.peers.values()
    assert bob.node.room is not None
    chat, now = chat_of(made, "bob"), made.clock(bob)
    yesterday = line(chat.clock.read(now) - 86_400_000, "I agree", eve.id, bob.node.room.id)
    chat._view(bob.node.links[ann.id]).asked_at = now
    made.inject("ann", bob.id, Lines((yesterday,)))
    made.run(1)
    assert (bob.chat(), bob.refused, chat.dropped) == ([], [], 1)


def test_two_tales_of_one_liar_are_read_by_all() -> None:
    made = village("liar", "bob", "eve")
    liar, bob, eve = made.peers.values()
    assert liar.node.room is not None
    clock = chat_of(made, "liar").clock.stamp(made.clock(liar))
    for listener, text in ((bob, "I love you, bob"), (eve, "I love you, eve")):
        made.inject("liar", listener.id, Lines((line(clock, text, liar.id, liar.node.room.id),)))
    made.run(5)
    assert bob.chat() == eve.chat()
    assert len(bob.chat()) == 2


def test_a_newcomer_that_asks_for_everything_gets_what_was_said_since_it_came() -> None:
    made = village("ann", "bob")
    ann = made.peers["ann"]
    chat_of(made, "ann").say("secret", made.clock(ann))
    made.run(3)
    made.born("spy")
    made.enter(["spy"])
    made.run(3)
    chat_of(made, "ann").say("public", made.clock(ann))
    made.run(3)
    spy = ann.node.links[made.peers["spy"].id]
    ann.node.effects()
    chat_of(made, "ann").received(spy, Lack(0, CLOCK_MAX, ()))
    served = [each.message for each in ann.node.effects() if isinstance(each, out.Send)]
    assert [[each.text for each in told.lines] for told in served if isinstance(told, Lines)] == [["public"]]
    chat_of(made, "ann").received(spy, Lack(0, CLOCK_MAX, ()))
    assert ann.node.effects() == [], "and not again at once"


def test_one_who_slept_hands_a_newcomer_nothing_of_what_it_missed_itself() -> None:
    made = village("ann", "bob")
    made.sleep("bob")
    made.run(20)
    chat_of(made, "ann").say("while bob slept", made.clock(made.peers["ann"]))
    made.run(20)
    made.born("spy")
    made.enter(["spy"])
    made.run(5)
    made.rouse("bob")
    made.run(10)
    bob, spy = made.peers["bob"], made.peers["spy"]
    assert bob.chat() == ["while bob slept"]
    bob.node.effects()
    chat_of(made, "bob").received(bob.node.links[spy.id], Lack(0, CLOCK_MAX, ()))
    assert bob.node.effects() == []


def test_what_was_noted_by_a_clock_that_was_behind_is_noted_anew() -> None:
    arrivals, before, now = Arrivals(50), PeerId("aa" * 32), PeerId("bb" * 32)
    arrivals.note(before, 60, 1.0)
    arrivals.note(now, 9_000, 9.0)
    arrivals.met(7_000, 9.5)
    assert (arrivals.own, arrivals.of(before), arrivals.of(now)) == (7_050, 60, 16_000)
    arrivals.met(7_000, 30.0)
    assert (arrivals.own, arrivals.of(before), arrivals.of(now)) == (7_050, 60, 16_000)


def test_a_nap_right_after_we_came_does_not_make_us_come_later() -> None:
    arrivals = Arrivals(50)
    arrivals.met(7_000, 1.0)
    arrivals.slept()
    arrivals.met(60_000, 2.0)
    assert arrivals.own == 7_050


def test_what_breaks_a_bound_is_no_message() -> None:
    for broken in (
        line(1, ""),
        line(1, "x" * (TEXT_CHARACTERS_MAX + 1)),
        line(1 << 53),
        structs.replace(line(1), author="x"),
    ):
        with pytest.raises(WireError):
            decode(encode(Lines((broken,)))[LENGTH_BYTES:])
    with pytest.raises(WireError):
        decode(rb'{"type":"lines","lines":[["' + AUTHOR.encode() + rb'",1,1,"ann","\ud800",""]]}')


def test_what_people_write_is_not_in_the_traffic_log() -> None:
    assert describe(Lines((line(1, "between us"),))) == "lines count=1"


# Names and rows


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("@ann", True),
        ("hey @Ann, look", True),
        ("@anna", False),
        ("@ann 2 is here", False),
        ("@ann 2 and @ann!", True),
        ("ann", False),
        ("mail to x@ann", True),
        ("@ann_b", False),
        ("", False),
    ],
)
def test_who_is_named_is_told(text: str, named: bool) -> None:
    assert mentions(text, "ann", ["ann 2", "bob"]) is named


def test_rows_are_kept_and_each_is_cleaned() -> None:
    assert safe_lines("one \x1b[2J\n\n  two\u202e\r\nthree\x00\n\n") == "one [2J\n\ntwo\nthree"
    assert safe_lines("\n" * 100) == ""
    assert len(safe_lines("\u0958" * TEXT_CHARACTERS_MAX)) <= TEXT_CHARACTERS_MAX, "composing can make it longer"
