"""One login with a second factor through Paramiko. Arguments: HOST PORT USER KEYFILE key|password|interactive PASSWORD CODE.

Prints each prompt as "PROMPT text", what a first factor left open as "LEFT methods", and "IN" when it is logged in.
"""
import sys

import paramiko

host, port, user, key_file, way, password, code = sys.argv[1:]


def answer(title, instructions, prompts):
    for prompt, _echo in prompts:
        print("PROMPT " + prompt, flush=True)
    return [code if "code" in prompt.lower() else password for prompt, _echo in prompts]


transport = paramiko.Transport((host, int(port)))
transport.start_client()
try:
    if way == "key":
        print("LEFT %s" % transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key_file)), flush=True)
    elif way == "password":
        print("LEFT %s" % transport.auth_password(user, password, fallback=False), flush=True)
    transport.auth_interactive(user, answer)
except paramiko.SSHException as error:
    print("REFUSED %s" % error, flush=True)
if transport.is_authenticated():
    print("IN", flush=True)
transport.close()
