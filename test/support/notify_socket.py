"""systemd's end of sd_notify(3): binds the Unix datagram socket that argv[1] names, prints each datagram as a line of JSON."""

import json
import socket
import sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(json.dumps(listener.recv(65536).decode()), flush=True)
