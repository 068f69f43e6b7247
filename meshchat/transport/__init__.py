"""Inside the door `mesh.py`: the UDP port, QUIC with both sides authenticated, and the table of connections.

Law of this folder: it knows packets, connections and proven ids, and nothing of rooms.
"""
