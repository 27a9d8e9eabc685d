"""What a server lets each of many logins do, through asyncssh. Argument: none. Stdin: one JSON object,

    {"host", "port", "user", "lanes": [[case...]...]}
    case: {"name", "source", "key", "certificate" (or null), "opens": [[host, port] or path...], "listens": [[host, port] or path...]}

`key` is PEM, `certificate` a line as ssh-keygen writes it. Lanes run beside each other, the cases of a lane one after the other, so
that they may share a port. Stdout, a line for each case: {"name", "login", "opens": [bool...], "listens": [bool...]}.
"""
import asyncio
import base64
import json
import os
import sys

import asyncssh

work = json.load(sys.stdin)
LIMIT_S = 60


class Certified(asyncssh.public_key.SSHLocalKeyPair):
    """A key with a certificate that asyncssh itself would not read: what a server makes of it is the question."""

    def __init__(self, key, line):
        super().__init__(key)
        algorithm, blob = line.split()[:2]
        self.algorithm = algorithm.encode()
        self.host_key_algorithms = (self.algorithm,)
        self.public_data = base64.b64decode(blob)

    def set_sig_algorithm(self, sig_algorithm):
        self.sig_algorithm = sig_algorithm  # and not the algorithm of the request, which is the certificate's


async def opens(connection, place):
    try:
        if isinstance(place, str):
            _, writer = await connection.open_unix_connection(place)
        else:
            _, writer = await connection.open_connection(*place)
    except asyncssh.ChannelOpenError:
        return False
    writer.close()
    return True


async def listens(connection, place):
    try:
        if isinstance(place, str):
            listener = await connection.forward_remote_path(place, "/nonexistent")
        else:
            listener = await connection.forward_remote_port(*place, "localhost", 9)
    except asyncssh.ChannelListenError:
        return False
    listener.close()
    await listener.wait_closed()
    if isinstance(place, str) and os.path.exists(place):
        os.unlink(place)  # sshd leaves the file where it is
    return True


async def decide(case):
    key = asyncssh.import_private_key(case["key"])
    keys = [key]
    if case["certificate"] is not None:
        keys = [Certified(key, case["certificate"])]
    answer = {"name": case["name"], "login": False, "opens": [], "listens": []}
    try:
        connection = await asyncssh.connect(
            work["host"],
            work["port"],
            username=work["user"],
            client_keys=keys,
            preferred_auth="publickey",
            local_addr=(case["source"], 0),
            known_hosts=None,
            config=None,
            agent_path=None,
        )
    except asyncssh.PermissionDenied:
        return answer
    async with connection:
        answer["login"] = True
        for place in case["opens"]:
            answer["opens"].append(await opens(connection, place))
        for place in case["listens"]:
            answer["listens"].append(await listens(connection, place))
    return answer


async def lane(cases):
    for case in cases:
        print(json.dumps(await asyncio.wait_for(decide(case), LIMIT_S)), flush=True)


async def main():
    await asyncio.gather(*(lane(cases) for cases in work["lanes"]))


asyncio.run(main())
