"""meshchat: rooms of voices on one network, found by mDNS, with no server between the people."""

__version__ = "0.1.0"
