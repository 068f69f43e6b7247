"""Inside the door `call.py`: what we say, on its way out; what the others say, on its way in.

Law of this folder: three threads meet here (microphone, port, speaker) and share nothing but values that are replaced
as a whole, so that none ever waits for another. The one lock is between two microphones, or two speakers, for the
instant in which one takes over (`exchange`); alone, it is free.
"""
