"""Screens for whoever looks on this machine: a small server on the loopback address, and the page that it serves."""
