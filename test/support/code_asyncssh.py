"""One login with a second factor through asyncssh. Arguments: HOST PORT USER KEYFILE key|password|interactive PASSWORD CODE.

Prints each prompt as "PROMPT text", and "IN" when it is logged in.
"""
import asyncio
import sys

import asyncssh

host, port, user, key_file, way, password, code = sys.argv[1:]


class Client(asyncssh.SSHClient):
    passwords = [password] if way == "password" else []

    def password_auth_requested(self):
        return self.passwords.pop() if self.passwords else None

    def kbdint_auth_requested(self):
        return ""

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        for prompt, _echo in prompts:
            print("PROMPT " + prompt, flush=True)
        return [code if "code" in prompt.lower() else password for prompt, _echo in prompts]


async def main():
    try:
        async with asyncssh.connect(
            host,
            int(port),
            username=user,
            client_keys=[key_file] if way == "key" else None,
            client_factory=Client,
            preferred_auth=["publickey", "password", "keyboard-interactive"],
            known_hosts=None,
            config=None,
            agent_path=None,
        ):
            print("IN", flush=True)
    except asyncssh.Error as error:
        print("REFUSED %s" % error, flush=True)


asyncio.run(main())
