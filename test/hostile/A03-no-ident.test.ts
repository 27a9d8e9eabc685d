/** A03: a first line that is no SSH 2 identification (RFC 4253 §4.2). It is refused with one line at the first byte that cannot
 *  become one, not at the deadline, and nothing of it stands raw in the log. */
import type { Socket } from 'node:net';
import t from 'tap';
import { within } from '../support/deadline.js';
import { hostile } from '../support/hostile.js';

/** Stands in each line, to be looked for in the log. */
const MARK = 'brought-by-the-peer';

const OURS = 'SSH-2.0-Sallyport\r\n';

const REFUSED: ReadonlyArray<readonly [name: string, bytes: string]> = [
  ['SSH-1.5', `SSH-1.5-${MARK}\r\n`],
  ['an HTTP request', `GET /${MARK} HTTP/1.1\r\nHost: a\r\n\r\n`],
  ['a TLS hello', `\x16\x03\x01\x02\x00\x01\x00${MARK}`],
  ['a PROXY header', `PROXY TCP4 192.0.2.1 192.0.2.2 5000 22\r\nSSH-2.0-${MARK}\r\n`],
  ['a PROXY header, version 2', `\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c${MARK}`],
  ['256 bytes and no end of line', `SSH-2.0-${MARK.padEnd(248, 'a')}`],
  ['a line of 256 bytes', `SSH-2.0-${MARK.padEnd(246, 'a')}\r\n`],
  ['64 KiB and no end of line', `SSH-2.0-${MARK.padEnd(65_536, 'a')}`],
  ['a NUL', `SSH-2.0-${MARK}\0b\r\n`],
  ['an escape sequence', `SSH-2.0-\x1b[2J${MARK}\r\n`],
  ['no software version', 'SSH-2.0-\r\n'],
  ['an empty line first', `\r\nSSH-2.0-${MARK}\r\n`],
];

hostile(t, 'A03', 'what is no identification is refused with one line', {}, async (t, { server, tcp }) => {
  for (const [name, bytes] of REFUSED) {
    const from = server.events.mark();
    const socket = await tcp();
    const ending = heard(socket);
    socket.write(Buffer.from(bytes, 'latin1'));
    const text = await ending;
    // Where bytes of the peer's lie unread, the reset that follows may overtake ours.
    if (bytes.length <= 300 || text !== OURS) t.equal(text, `${OURS}Invalid SSH identification string.\r\n`, name);
    const closed = await server.events.wait('connection.closed', {}, from);
    t.equal(closed.reason, name.includes('PROXY') ? 'PROXY_UNEXPECTED' : 'IDENT_INVALID', name);
    t.equal(server.events.list('connection.closed', {}, from).length, 1, 'one line tells it');
    t.notMatch(JSON.stringify(server.events.list('connection.closed', {}, from)), MARK, 'and not in its words');
  }
  t.same(server.events.otherLines, [], 'each line of the log is an event');
});

/** Everything that comes until the server ends the connection. */
async function heard(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => socket.end());
  await within(new Promise((resolve) => socket.once('close', resolve)), 'end of the connection');
  return Buffer.concat(chunks).toString('latin1');
}
