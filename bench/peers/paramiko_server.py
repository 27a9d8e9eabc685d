"""PARAMIKO SERVER: a tunnel server in the manner of the Python class that Sallyport succeeds: a thread per connection
and per forward, select() and copies of 1 KiB. sendall() where such programs often say send(), which may send less.
Usage: paramiko_server.py PORT HOST_KEY_FILE AUTHORIZED_KEYS_FILE. Says READY when it listens."""
import select
import socket
import sys
import threading

import paramiko


def start(target, *args):
    threading.Thread(target=target, args=args, daemon=True).start()


def copy(channel, sock):
    try:
        while True:
            ready, _, _ = select.select([channel, sock], [], [])
            for source, sink in ((channel, sock), (sock, channel)):
                if source in ready:
                    data = source.recv(1024)
                    if not data:
                        return  # the first end closes both ways: there is no half-close here
                    sink.sendall(data)
    except (OSError, EOFError, ValueError):
        pass  # ValueError: select() knows descriptors up to 1023 only
    finally:
        channel.close()
        sock.close()


class TunnelServer(paramiko.ServerInterface):
    def __init__(self, transport, allowed_key):
        self.transport, self.allowed_key = transport, allowed_key
        self.dialled, self.listeners = {}, {}

    def get_allowed_auths(self, username):
        return 'publickey'

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if key.get_base64() == self.allowed_key else paramiko.AUTH_FAILED

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        try:
            self.dialled[chanid] = socket.create_connection(destination)
        except OSError:
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        return paramiko.OPEN_SUCCEEDED

    def check_port_forward_request(self, address, port):
        try:
            listener = socket.create_server((address, port), backlog=128)
        except OSError:
            return False
        port = listener.getsockname()[1]
        self.listeners[address, port] = listener
        start(self.accept, listener, (address, port))
        return port

    def cancel_port_forward_request(self, address, port):
        self.listeners.pop((address, port)).close()

    def accept(self, listener, bound):
        try:
            while True:
                sock, origin = listener.accept()
                start(copy, self.transport.open_forwarded_tcpip_channel(origin, bound), sock)
        except (OSError, EOFError, paramiko.SSHException):
            listener.close()


def serve(sock, host_key, allowed_key):
    transport = paramiko.Transport(sock)
    transport.add_server_key(host_key)
    server = TunnelServer(transport, allowed_key)
    try:
        transport.start_server(server=server)
        while transport.is_active():
            channel = transport.accept(1)
            if channel is not None:
                start(copy, channel, server.dialled.pop(channel.chanid))
    except (OSError, EOFError, paramiko.SSHException):
        pass
    finally:
        transport.close()
        for listener in server.listeners.values():
            listener.close()


def main():
    _, port, host_key, authorized_keys = sys.argv
    host_key = paramiko.Ed25519Key(filename=host_key)
    with open(authorized_keys, encoding='utf8') as file:
        allowed_key = file.read().split()[1]
    listener = socket.create_server(('127.0.0.1', int(port)), backlog=4096)
    print('READY', flush=True)
    while True:
        sock, _ = listener.accept()
        start(serve, sock, host_key, allowed_key)


main()
