"""One tunnel through Paramiko. Arguments: HOST PORT USER KEYFILE local|remote TARGET_PORT.

local: opens a direct-tcpip channel to localhost:TARGET_PORT, sends 1 MB, prints OK when it comes back unharmed.
remote: asks for any port, prints "PORT n", joins each connection to localhost:TARGET_PORT until stdin ends.
"""
import hashlib
import socket
import sys
import threading

import paramiko

host, port, user, key_file, mode, target_port = sys.argv[1:]
target = ("127.0.0.1", int(target_port))


def pump(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR) if isinstance(sink, socket.socket) else sink.shutdown_write()


def join(channel):
    connection = socket.create_connection(target)
    threading.Thread(target=pump, args=(connection, channel), daemon=True).start()
    threading.Thread(target=pump, args=(channel, connection), daemon=True).start()


transport = paramiko.Transport((host, int(port)))
transport.connect(username=user, pkey=paramiko.Ed25519Key.from_private_key_file(key_file))

if mode == "local":
    channel = transport.open_channel("direct-tcpip", ("localhost", target[1]), ("127.0.0.1", 1))
    sent = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(32768))
    writer = threading.Thread(target=lambda: (channel.sendall(sent), channel.shutdown_write()), daemon=True)
    writer.start()
    received = b""
    while data := channel.recv(65536):
        received += data
    print("OK" if received == sent else "DIFFERENT %d" % len(received), flush=True)
else:
    bound = transport.request_port_forward("localhost", 0, handler=lambda channel, origin, server: join(channel))
    print("PORT %d" % bound, flush=True)
    sys.stdin.read()
    transport.cancel_port_forward("localhost", bound)
transport.close()
