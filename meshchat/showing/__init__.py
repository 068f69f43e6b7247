"""Screens on their way out and in: what is shared here, what is watched here, and who looks at it.

Law of this folder: no sound waits for a picture. What is compressed comes from another process, what is sent leaves on
a thread of its own in small bursts, and what arrives is opened and put in order, and never decoded.
"""
