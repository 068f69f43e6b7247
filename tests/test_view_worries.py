"""What is said to be wrong, when, and that each time something can be done about it."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from meshchat import control
from meshchat.view import lines
from meshchat.view.figures import HEADS, figure_lines, figures, rate
from meshchat.view.lines import text_of
from meshchat.view.reduce import SPOKEN_DB, reduce
from meshchat.view.sentences import changes
from meshchat.view.signs import DRAWN
from meshchat.view.state import FiguresRead, Happening, Linked, Reading, State, Ticked, Unlinked
from meshchat.view.worries import ALONE_S, MUTED_S, SILENT_S, alone, worries
from tests.scripted_daemon import ADA, BOB, Script, member, room, summary


def standing(microphone: str = "microphone Headset (48000 Hz)", **bob: object) -> tuple[State, Script]:
    script = Script()
    script.room, script.microphone = room(member(BOB, "bob", **bob)), microphone
    state = State()
    for event in (Linked(own=True), script.snapshot(), control.RoomEntered(script.room)):
        state = reduce(state, event, 100.0)
    return state, script


def later(state: State, *events: Happening, now: float = 101.0) -> State:
    for event in (*events, Ticked()):
        state = reduce(state, event, now)
    return state


def keys(state: State) -> list[str]:
    return [worry.key.partition(" ")[0] for worry in worries(state)]


def test_where_all_is_well_nothing_is_said() -> None:
    state, script = standing(lost_there_percent=0.5)
    assert worries(later(state, FiguresRead(script.status()))) == ()


def test_nothing_is_said_to_be_wrong_before_anything_was_told() -> None:
    assert worries(reduce(State(), Linked(own=True), 1.0)) == ()


def test_each_trouble_is_said_and_goes_when_its_reason_goes() -> None:
    state, script = standing()
    status = script.status()
    troubles = {
        "network": structs.replace(status, addresses=()),
        "unanswered": structs.replace(status, unanswered=2),
        "unreached": structs.replace(status, room=room(member(BOB, "bob", reachable=False))),
        "unheard": structs.replace(status, room=room(member(BOB, "bob", hears_you=False))),
        "lost": structs.replace(status, room=room(member(BOB, "bob", lost_there_percent=12.0))),
    }
    for key, told in troubles.items():
        wrong = later(state, FiguresRead(told))
        assert keys(wrong) == [key]
        assert keys(later(wrong, FiguresRead(status))) == []
    gone = control.SelfChanged("ada", False, False, "microphone default (not there: silence)", "speaker x (not there)")
    assert keys(later(state, gone)) == ["microphone", "speaker"]
    assert keys(reduce(later(state, gone), Unlinked("The daemon ended."), 102.0)) == []


def test_a_firewall_is_suspected_with_the_port_to_open() -> None:
    state, script = standing()
    wrong = later(state, FiguresRead(structs.replace(script.status(), unanswered=1, port=50001)))
    assert "sudo ufw allow 50001/udp" in worries(wrong)[0].text
    drawn = lines.worry_lines(worries(wrong), 40)
    assert text_of(drawn[0]).startswith("! No answer from somebody")
    assert all(len(text_of(row)) <= 40 for row in drawn)


def test_a_microphone_that_hears_nothing_is_told_of_unless_it_is_none() -> None:
    state, _ = standing()
    quiet = later(state, control.Levels({ADA: -127.0}), now=101.0 + SILENT_S)
    assert keys(quiet) == ["silent"]
    assert keys(later(quiet, control.Levels({ADA: -70.0}), now=102.0 + SILENT_S)) == []
    file, _ = standing("file speech.wav (44100 Hz)")
    assert keys(later(file, control.Levels({ADA: -127.0}), now=101.0 + SILENT_S)) == []


def test_who_speaks_while_muted_is_told_for_a_moment() -> None:
    state, _ = standing()
    muted = later(state, control.SelfChanged("ada", True, False, state.microphone, state.speaker))
    spoke = later(muted, control.Levels({ADA: SPOKEN_DB + 1.0}))
    assert keys(spoke) == ["muted"]
    assert keys(later(spoke, now=102.0 + MUTED_S)) == []


def test_who_is_alone_for_long_is_told_how_to_call_somebody() -> None:
    state, _ = standing()
    assert state.room is not None
    lonely = replace(state, room=replace(state.room, members=state.room.members[:1]))
    assert lonely.room is not None
    assert "address" not in alone(lonely, lonely.room)
    waited = later(lonely, now=100.0 + ALONE_S)
    assert waited.room is not None
    assert "address" in alone(waited, waited.room)
    others = later(waited, control.RoomsChanged((summary("attic"),)), now=100.0 + ALONE_S)
    assert "address" not in alone(others, waited.room)


def test_in_lines_each_trouble_is_told_once() -> None:
    state, script = standing()
    said = []
    for _ in range(3):
        wrong = later(state, FiguresRead(structs.replace(script.status(), unanswered=1)))
        said += list(changes(state, wrong))
        state = wrong
    assert len([each for each in said if "firewall" in each]) == 1


def test_the_bitrate_is_that_of_the_last_seconds() -> None:
    trail = tuple(Reading(float(at), 0.0, 1.0, 100 * at, 6000 * at) for at in range(20))
    told = dict(zip(HEADS, figures(member(BOB, "bob", rtt_ms=1.0), trail), strict=True))
    assert (told["kbit/s"], told["pkt/s"], told["rtt"]) == ("48.0", "100", "1.0")
    assert rate(trail[:1], lambda each: each.bytes) is None
    anew = (*trail, Reading(20.0, 0.0, 1.0, 3, 9))
    assert rate(anew, lambda each: each.bytes) == 0.0


def test_the_first_columns_of_the_figures_fit_beside_the_rooms_on_a_small_terminal() -> None:
    state, _ = standing(rtt_ms=1.0, loss_percent=0.0)
    heads = text_of(figure_lines(state, 52, DRAWN)[0]).split()
    assert heads == ["rtt", "loss", "delay", "jitter", "kbit/s", "guess"]
