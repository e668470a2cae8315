#!/usr/bin/env python3
"""A link of 80 ms there and back and 10 Mbit/s between two network namespaces, where the kernel has no netem.

    link.py NAMESPACE ADDRESS NAMESPACE ADDRESS

Each end is a TUN device. A packet waits until those before it have left at 10 Mbit/s, and is on its way for 40 ms; one
that finds more than 100 full packets waiting is dropped. Prints a line when both ends are up.
"""

import collections
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

RATE = 10e6 / 8
DELAY = 0.040
WAITING = 100 * 1500
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001


def end(name, namespace, address, peer):
    """A TUN device in a namespace."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN_NO_PI))
    for command in (
        ["ip", "link", "set", name, "netns", namespace],
        ["ip", "-n", namespace, "address", "add", address, "peer", peer, "dev", name],
        ["ip", "-n", namespace, "link", "set", name, "up"],
    ):
        subprocess.run(command, check=True)
    return device


def main():
    first, first_address, second, second_address = sys.argv[1:]
    number = os.getpid()
    ends = [
        end(f"bench{number}a", first, first_address, second_address),
        end(f"bench{number}b", second, second_address, first_address),
    ]
    print("up", flush=True)
    free_at = [0.0, 0.0]
    on_the_way = [collections.deque(), collections.deque()]
    while True:
        arrivals = [queue[0][0] for queue in on_the_way if queue]
        wait = max(0.0, min(arrivals) - time.monotonic()) if arrivals else None
        ready, _, _ = select.select(ends, [], [], wait)
        now = time.monotonic()
        for side in range(2):
            if ends[side] in ready:
                while True:
                    try:
                        packet = os.read(ends[side], 65536)
                    except BlockingIOError:
                        break
                    begins = max(now, free_at[side])
                    if WAITING < (begins - now) * RATE:
                        continue
                    free_at[side] = begins + len(packet) / RATE
                    on_the_way[side].append((free_at[side] + DELAY, packet))
            queue = on_the_way[side]
            while queue and queue[0][0] <= now:
                try:
                    os.write(ends[1 - side], queue.popleft()[1])
                except (BlockingIOError, OSError):
                    pass


main()
