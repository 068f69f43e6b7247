"""The court of a room: orders are taken in, and passed on once they count."""

from __future__ import annotations

import random

from meshchat.locks.statements import Statement
from meshchat.peers.circle import Circle
from meshchat.peers.court import Court
from meshchat.peers.directory import Directory
from meshchat.peers.effects import Send
from meshchat.peers.links import Link
from meshchat.peers.orders import Orders
from meshchat.units import Address
from tests.locks_lab import ANN, BOB, CAT, DAN, FAY, FOUND, ROOM, Person, room_with_moderators, seeded
from tests.villager import SealingWax


def link_to(person: Person) -> Link:
    return Link(person.peer_id, Address("192.0.2.1", 1), up_at=0.0, heard_at=0.0)


def test_an_order_that_waited_for_its_authors_appointment_is_passed_on_with_it() -> None:
    book = room_with_moderators(ANN)
    (kick,) = book.order(ANN.key, "kick", BOB.peer_id)
    (appointment,) = (each for each in book.statements if each.kind == "appoint")
    me, rng = CAT.peer_id, random.Random(1)
    circle = Circle(me, "cat", Directory(me, rng), SealingWax(me), rng)
    court = Court(circle, ROOM, seeded(2), FOUND)
    fay, dan = link_to(FAY), link_to(DAN)
    court.take(fay, Orders((kick,)), [fay, dan])
    assert circle.wishes == [], "nobody whom we know appointed its author"
    court.take(fay, Orders((appointment,)), [fay, dan])
    assert {send.peer for send in circle.wishes if isinstance(send, Send)} == {dan.peer}
    assert set(_orders(circle)) == {appointment, kick}


def _orders(circle: Circle) -> list[Statement]:
    sent = [wish.message for wish in circle.wishes if isinstance(wish, Send)]
    return [each for message in sent if isinstance(message, Orders) for each in message.statements]
