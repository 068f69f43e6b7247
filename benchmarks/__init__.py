"""Measurements that anyone can repeat: one command each, on one machine, with the goal beside every figure."""
