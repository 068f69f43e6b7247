"""Locked rooms: who may enter, how they prove it, who moderates, and whether a familiar name is a familiar key.

Pure but for `trust`, which keeps a file: chance comes in as `draw`, time as `now`.
"""
