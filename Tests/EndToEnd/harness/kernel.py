"""What the kernel does behind a test's back."""

#: What two proxies may hold of one stream: watermarks, TLS records, buffers of two sides.
_PROXIES_BYTES = 8 << 20


def standing_bytes_max(connections=3):
    """What may have been sent through two proxies to somebody who reads nothing.

    Sockets grow their buffers by themselves, up to bounds that differ from machine to machine.
    """
    total = 0
    for name in ("tcp_rmem", "tcp_wmem"):
        with open(f"/proc/sys/net/ipv4/{name}") as file:
            total += int(file.read().split()[2])
    return connections * total + _PROXIES_BYTES
