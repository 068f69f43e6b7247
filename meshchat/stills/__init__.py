"""Inside the door `codec.py`: parts of a screen as bytes, compressed with a loss or without one."""
