"""ASYNCSSH SERVER: asyncssh's own forwarding, both ways, to anywhere.
Usage: asyncssh_server.py PORT HOST_KEY_FILE AUTHORIZED_KEYS_FILE. Says READY when it listens."""
import asyncio
import sys

import asyncssh


class TunnelServer(asyncssh.SSHServer):
    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        return True

    def server_requested(self, listen_host, listen_port):
        return True


async def main():
    _, port, host_key, authorized_keys = sys.argv
    server = await asyncssh.listen(
        '127.0.0.1',
        int(port),
        server_factory=TunnelServer,
        server_host_keys=[host_key],
        authorized_client_keys=authorized_keys,
        backlog=4096,  # the default of 100 would be what a burst of logins meets first
    )
    print('READY', flush=True)
    await server.wait_closed()


asyncio.run(main())
