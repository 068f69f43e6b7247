"""The process that looks at a screen: a child of the daemon, so that grabbing and compressing never delay a sound.

It opens the source, waits to be told that somebody watches, and writes what changed to its standard output. The daemon
owns keys and network; this process knows neither.
"""
