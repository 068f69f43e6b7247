"""The parts of one peer, as the daemon made them: whoever brings two of them together takes this."""

from __future__ import annotations

from dataclasses import dataclass

from meshchat.answers import Answers
from meshchat.call import Call
from meshchat.chronicle import Chronicle
from meshchat.devices import Devices
from meshchat.entrance import Entrance
from meshchat.herald import Herald
from meshchat.mesh import Mesh
from meshchat.moderation import Moderation
from meshchat.playing import Playing
from meshchat.screens import Screens
from meshchat.talking import Talking
from meshchat.trust import Trust


@dataclass(frozen=True, slots=True)
class Parts:
    """Each does one thing and knows only the parts on floors below its own."""

    mesh: Mesh
    call: Call
    trust: Trust
    answers: Answers
    entrance: Entrance
    moderation: Moderation
    screens: Screens
    devices: Devices
    talking: Talking
    playing: Playing
    chronicle: Chronicle
    herald: Herald
