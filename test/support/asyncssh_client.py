"""One tunnel through asyncssh. Arguments: HOST PORT USER KEYFILE local|remote TARGET_PORT.

Either way prints "PORT n", the port to connect to, and joins it to localhost:TARGET_PORT until stdin ends.
"""
import asyncio
import sys

import asyncssh

host, port, user, key_file, mode, target_port = sys.argv[1:]


async def main():
    async with asyncssh.connect(
        host, int(port), username=user, client_keys=[key_file], known_hosts=None, config=None, agent_path=None
    ) as connection:
        forward = connection.forward_local_port if mode == "local" else connection.forward_remote_port
        listen_host = "127.0.0.1" if mode == "local" else "localhost"
        listener = await forward(listen_host, 0, "localhost", int(target_port))
        print("PORT %d" % listener.get_port(), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        listener.close()
        await listener.wait_closed()


asyncio.run(main())
