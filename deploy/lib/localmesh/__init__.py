"""A whole mesh on this machine's loopback: starts the binaries, watches them, drives traffic.

Shared by the demo and the end-to-end tests. Every port is chosen by the kernel and read back from
the processes' logs; nothing here sleeps for a guessed time, it waits for conditions (waiting.py).
"""
