"""The control plane, pure: who is here, who is alive, who coordinates, who holds which media key.

Law of this folder: messages and link events go in with `now`, messages and events come out. No file here reads a
clock, draws a random number of its own, opens a socket or starts a thread, so that a whole room can be run in
virtual time from a seed.
"""
