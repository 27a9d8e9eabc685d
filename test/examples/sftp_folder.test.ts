/** SFTP FOLDER: first OpenSSH's client, with no SSH between (`sftp -D`), then packets made by hand for what no good
 *  client sends and for streams that end at a bad moment. Packets are those of draft-ietf-secsh-filexfer-02. */
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { serveSftp } from '../../examples/sftp_folder.js';
import { concatFields, message, UINT32_MAX, type WireField, WireReader } from '../../src/shared/protocol.js';
import { collect, type Digest, KIB, MIB, send } from '../support/bytes.js';
import { within } from '../support/deadline.js';
import { until } from '../support/joined.js';
import { mustRun, type Outcome, run } from '../support/process.js';
import { need } from '../support/programs.js';
import { tempDir } from '../support/temp.js';

const stdioEntry = fileURLToPath(new URL('../support/sftp_stdio.js', import.meta.url));

interface Layout {
  /** The folder that is served. */
  readonly served: string;
  /** A folder beside it, with a file `secret`. */
  readonly outside: string;
  /** The client's own folder. */
  readonly local: string;
}

function layout(t: Test): Layout {
  const dir = fs.realpathSync(tempDir(t));
  const folders = { served: join(dir, 'served'), outside: join(dir, 'outside'), local: join(dir, 'local') };
  for (const folder of Object.values(folders)) fs.mkdirSync(folder);
  fs.writeFileSync(join(folders.outside, 'secret'), 'secret');
  return folders;
}

/** Runs `commands` in OpenSSH's client, which stops at the first that fails; one after a '-' may fail. */
async function sftp(
  t: Test,
  { served, local }: Layout,
  commands: readonly string[],
  args: readonly string[] = [],
): Promise<Outcome> {
  const server = [process.execPath, stdioEntry, served].map((word) => `"${word}"`).join(' ');
  return await run(t, 'sftp', ['-q', ...args, '-b', '-', '-D', server], { cwd: local, input: commands.join('\n') });
}

const make = async (path: string, seed: string, bytes: number): Promise<Digest> => {
  const file = fs.createWriteStream(path);
  const digest = await send(file, seed, bytes);
  file.end();
  await once(file, 'close');
  return digest;
};
const digestAt = (path: string): Promise<Digest> => collect(fs.createReadStream(path));

t.test('OpenSSH: a file goes there and back', async (t) => {
  if (!need(t, ['sftp'])) return;
  const at = layout(t);
  const sent = await make(join(at.local, 'there'), 'there and back', 5 * MIB);
  const outcome = await sftp(t, at, ['put there kept', 'chmod 640 kept', 'get kept back']);
  t.equal(outcome.code, 0, outcome.stderr);
  t.same(await digestAt(join(at.served, 'kept')), sent);
  t.same(await digestAt(join(at.local, 'back')), sent);
  t.equal(fs.statSync(join(at.served, 'kept')).mode & 0o777, 0o640);
});

t.test('OpenSSH: a big file with many requests under way, in each direction', async (t) => {
  if (!need(t, ['sftp'])) return;
  const at = layout(t);
  const sent = await make(join(at.local, 'big'), 'many requests', 48 * MIB);
  // Small buffers make many packets in each chunk, large ones packets that span chunks and reads longer than we give.
  for (const bufferBytes of [4_096, 32_768, 261_120]) {
    const outcome = await sftp(t, at, ['put big', 'get big back'], ['-R', '512', '-B', String(bufferBytes)]);
    t.equal(outcome.code, 0, outcome.stderr);
    t.same(await digestAt(join(at.local, 'back')), sent, `${bufferBytes} bytes a request`);
  }
});

t.test(
  'OpenSSH: a shorter file over a longer one leaves nothing of it; -a goes on where a transfer stopped',
  async (t) => {
    if (!need(t, ['sftp'])) return;
    const at = layout(t);
    fs.writeFileSync(join(at.served, 'file'), 'long, long');
    fs.writeFileSync(join(at.local, 'file'), 'short');
    fs.writeFileSync(join(at.served, 'half'), 'one ');
    fs.writeFileSync(join(at.local, 'half'), 'one two');
    const outcome = await sftp(t, at, ['put file', 'put -a half', 'put -p file stamped']);
    t.equal(outcome.code, 0, outcome.stderr);
    t.equal(fs.readFileSync(join(at.served, 'file'), 'utf8'), 'short');
    t.equal(fs.readFileSync(join(at.served, 'half'), 'utf8'), 'one two');
  },
);

t.test('OpenSSH: folders are made, listed, renamed and removed', async (t) => {
  if (!need(t, ['sftp'])) return;
  const at = layout(t);
  fs.writeFileSync(join(at.local, 'note'), 'hello');
  const made = await sftp(t, at, [
    'mkdir a',
    'mkdir a/b',
    'cd a/b',
    'pwd',
    'put note',
    'rename note "a note"',
    'ls -l',
    'cd ..',
    'ls',
  ]);
  t.equal(made.code, 0, made.stderr);
  t.match(made.stdout, /Remote working directory: \/a\/b/);
  t.match(made.stdout, /^-rw\S{7} .* 5 \d{4}-\d\d-\d\d \d\d:\d\d a note$/m, 'a line of ls -l');
  t.match(made.stdout, /^b\s*$/m);
  t.same(fs.readdirSync(join(at.served, 'a', 'b')), ['a note']);

  const full = await sftp(t, at, ['rmdir a/b']);
  t.not(full.code, 0, 'a folder that is not empty stays');
  const removed = await sftp(t, at, ['rm "a/b/a note"', 'rmdir a/b', 'rmdir a', '-rmdir /']);
  t.equal(removed.code, 0, removed.stderr);
  t.same(fs.readdirSync(at.served), [], 'only the folder itself is left');
});

t.test('OpenSSH: a folder of more names than one packet holds', async (t) => {
  if (!need(t, ['sftp'])) return;
  const at = layout(t);
  const names = Array.from({ length: 700 }, (_, index) => `${String(index).padStart(200, 'x')}.txt`);
  for (const name of names) fs.writeFileSync(join(at.served, name), '');
  const outcome = await sftp(t, at, ['ls -1', 'get *99.txt']);
  t.equal(outcome.code, 0, outcome.stderr);
  t.same(outcome.stdout.match(/x+\d+\.txt$/gm)?.sort(), names.sort());
  t.equal(fs.readdirSync(at.local).length, 7);
});

t.test('OpenSSH: a rename replaces nothing', async (t) => {
  if (!need(t, ['sftp'])) return;
  const at = layout(t);
  for (const name of ['a', 'b']) fs.writeFileSync(join(at.served, name), name);
  t.not((await sftp(t, at, ['rename a b'])).code, 0);
  t.equal(fs.readFileSync(join(at.served, 'b'), 'utf8'), 'b');
});

t.test("OpenSSH: '..' and absolute paths stay in the folder", async (t) => {
  if (!need(t, ['sftp'])) return;
  const at = layout(t);
  fs.writeFileSync(join(at.local, 'note'), 'hello');
  for (const path of ['../../etc/passwd', '/etc/passwd', '../outside/secret', at.outside]) {
    const outcome = await sftp(t, at, [`get ${path} stolen`]);
    t.not(outcome.code, 0, path);
    t.match(outcome.stderr, /not found|No such file/);
  }
  t.notOk(fs.existsSync(join(at.local, 'stolen')));
  const up = await sftp(t, at, ['cd ../../..', 'pwd', 'put note ../note', 'get ../../note again']);
  t.equal(up.code, 0, up.stderr);
  t.match(up.stdout, /Remote working directory: \/$/m);
  t.same(fs.readdirSync(at.served), ['note'], 'the top is its own parent');
});

t.test('OpenSSH: a link that leads out leads nowhere, a link inside is followed', async (t) => {
  if (!need(t, ['sftp'])) return;
  const at = layout(t);
  fs.writeFileSync(join(at.local, 'note'), 'hello');
  fs.writeFileSync(join(at.served, 'inside'), 'inside');
  fs.symlinkSync('inside', join(at.served, 'to-inside'));
  fs.symlinkSync('../outside', join(at.served, 'to-folder'));
  fs.symlinkSync('../outside/secret', join(at.served, 'to-file'));
  fs.symlinkSync('../outside/new', join(at.served, 'to-new'));
  // A link one folder down points inside, and would point out once it is moved up.
  fs.mkdirSync(join(at.served, 'down'));
  fs.symlinkSync('../outside', join(at.served, 'down', 'moving'));
  const refused = [
    'get to-file',
    'get to-folder/secret',
    'get down/moving/secret',
    'cd to-folder',
    'chmod 777 to-file',
    'put note to-file',
    'put note to-new',
    'put note to-folder/note',
    'mkdir to-folder/new',
    'rm to-folder/secret',
    'rename inside to-folder/inside',
    'rename to-folder/secret stolen',
    'ln -s /etc/passwd link',
    'ln to-file hard',
  ];
  for (const command of refused) t.not((await sftp(t, at, [command])).code, 0, command);
  t.notMatch((await sftp(t, at, ['ls to-folder/', 'ls to-folder/*'])).stdout, /secret/);
  const moved = await sftp(t, at, ['rename down/moving moved', '-get moved/secret']);
  t.equal(moved.code, 0, moved.stderr);
  t.same(fs.readdirSync(at.outside), ['secret']);
  t.equal(fs.readFileSync(join(at.outside, 'secret'), 'utf8'), 'secret');
  t.same(fs.readdirSync(at.local), ['note']);

  const allowed = await sftp(t, at, ['get to-inside', 'rm to-folder', 'ls -l to-file']);
  t.equal(allowed.code, 0, allowed.stderr);
  t.equal(fs.readFileSync(join(at.local, 'to-inside'), 'utf8'), 'inside');
  t.ok(fs.existsSync(at.outside), 'rm removed the link only');
});

// From here on there is no client but the test.

const FXP = {
  INIT: 1,
  VERSION: 2,
  OPEN: 3,
  CLOSE: 4,
  READ: 5,
  WRITE: 6,
  SETSTAT: 9,
  OPENDIR: 11,
  READDIR: 12,
  STAT: 17,
  RENAME: 18,
  READLINK: 19,
  SYMLINK: 20,
  STATUS: 101,
  HANDLE: 102,
  DATA: 103,
  EXTENDED: 200,
};
const STATUS = { OK: 0, EOF: 1, NO_SUCH_FILE: 2, FAILURE: 4, OP_UNSUPPORTED: 8 };
const OPEN = { READ: 1, WRITE: 2, CREAT: 8 };

/** Length, type and fields; the first field of all but INIT is the request's id. */
const packet = (type: number, ...fields: WireField[]): Buffer => concatFields([message(type, ...fields)]);
const uint64 = (value: bigint): WireField => ({
  raw: concatFields([Number(value >> 32n), Number(value & 0xffff_ffffn)]),
});
const hello = packet(FXP.INIT, 3);
const openPacket = (id: number, path: string, flags: number): Buffer => packet(FXP.OPEN, id, path, flags, 0);
const readPacket = (id: number, handle: Uint8Array, offset: bigint, length: number): Buffer =>
  packet(FXP.READ, id, handle, uint64(offset), length);
const writePacket = (id: number, handle: Uint8Array, data: string, offset = 0n): Buffer =>
  packet(FXP.WRITE, id, handle, uint64(offset), data);
/** The first handle that is given out. */
const HANDLE_1 = Buffer.from('1');

/** A client that speaks packets. */
class Client {
  readonly stream: Duplex;
  readonly server: Duplex;
  #received = Buffer.alloc(0);

  constructor(t: Test, folder: string) {
    [this.stream, this.server] = duplexPair();
    serveSftp(this.server, folder);
    t.teardown(() => {
      this.server.destroy();
      this.stream.destroy();
    });
  }

  send(...packets: readonly Buffer[]): void {
    this.stream.write(Buffer.concat(packets));
  }

  /** The next answer, with its type and its id taken off. */
  async answer(): Promise<{ type: number; id: number; fields: WireReader }> {
    while (this.#received.length < 4 || this.#received.length < 4 + this.#received.readUInt32BE()) {
      const chunk: Buffer | null = this.stream.read();
      if (chunk !== null) this.#received = Buffer.concat([this.#received, chunk]);
      else await within(once(this.stream, 'readable'), 'answer');
    }
    const length = this.#received.readUInt32BE();
    const fields = new WireReader(this.#received.subarray(4, 4 + length));
    this.#received = this.#received.subarray(4 + length);
    return { type: fields.byte(), id: fields.uint32(), fields };
  }

  async status(): Promise<number> {
    const { type, fields } = await this.answer();
    return type === FXP.STATUS ? fields.uint32() : -type;
  }

  /** Says hello and opens `path`. @returns the handle */
  async open(path: string, flags: number): Promise<Buffer> {
    this.send(hello, openPacket(1, path, flags));
    await this.answer();
    return (await this.answer()).fields.bytes();
  }
}

/** Descriptors of this process that lead into `folder`. Only Linux tells. */
function openIn(folder: string): number {
  return fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false; // the descriptor that read the list
    }
  }).length;
}
const TELLS_DESCRIPTORS = fs.existsSync('/proc/self/fd');

/** Resolves when the stream is closed. Hears no error: one that went unheard would end this process, and the test. */
async function closed(stream: Duplex): Promise<void> {
  const closing = stream.closed || new Promise((resolve) => stream.once('close', resolve));
  await within(Promise.resolve(closing), 'end of the stream');
}

const MALFORMED: Readonly<Record<string, Buffer>> = {
  'a packet of no bytes': concatFields([0, 0]),
  'a packet longer than any': concatFields([256 * 1024 + 1, 0]),
  'a length with its first bit set': concatFields([UINT32_MAX, 0]),
  'an unknown type': packet(99, 1),
  'an answer': packet(FXP.STATUS, 1, 0, '', ''),
  'a second INIT': hello,
  'a packet of its type only': packet(FXP.STAT),
  'a path longer than its packet': packet(FXP.STAT, 1, UINT32_MAX),
  'a path longer than its packet, before good fields': packet(FXP.OPEN, 1, UINT32_MAX, 1, 0),
  'a first path longer than its packet': packet(FXP.RENAME, 1, UINT32_MAX, 'b'),
  'a handle longer than its packet': packet(FXP.READ, 1, UINT32_MAX, uint64(0n), 100),
  'a handle longer than any': packet(FXP.CLOSE, 1, 'h'.repeat(257)),
  'attributes that are cut': packet(FXP.OPEN, 1, 'file', 1, 0x0f, 0),
  'more extended attributes than bytes': packet(FXP.OPEN, 1, 'file', 1, 0x8000_0000, UINT32_MAX),
};

for (const [name, bytes] of Object.entries(MALFORMED)) {
  t.test(`malformed: ${name} ends the stream and nothing else`, async (t) => {
    const { served } = layout(t);
    const client = new Client(t, served);
    await client.open('file', OPEN.WRITE | OPEN.CREAT);
    client.send(bytes);
    await closed(client.server);
    t.type(client.server.errored, Error);
    if (TELLS_DESCRIPTORS) t.equal(openIn(served), 0, 'the file was closed first');
  });
}

t.test('malformed: whatever bytes come, the stream ends and no file stays open', async (t) => {
  const { served } = layout(t);
  const talk = Buffer.concat([
    hello,
    openPacket(1, 'file', OPEN.WRITE | OPEN.READ | OPEN.CREAT),
    writePacket(2, HANDLE_1, 'hello'),
    packet(FXP.OPENDIR, 3, '/'),
    packet(FXP.READDIR, 4, '2'),
    packet(FXP.RENAME, 5, 'file', 'other'),
    readPacket(6, HANDLE_1, 0n, 100),
  ]);
  const mistake = fc.tuple(fc.nat(talk.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(mistake, { maxLength: 5 }), fc.nat(talk.length), async (mistakes, cut) => {
      const bytes = Buffer.from(talk);
      for (const [at, byte] of mistakes) bytes[at] = byte;
      const client = new Client(t, served);
      client.stream.resume().end(bytes.subarray(0, cut));
      await closed(client.server);
      if (TELLS_DESCRIPTORS) await until(() => openIn(served) === 0, 'end of the last file');
    }),
    { numRuns: 300 },
  );
});

t.test('malformed: a request before INIT, and a client of another protocol', async (t) => {
  const { served } = layout(t);
  for (const bytes of [openPacket(1, 'file', OPEN.READ), Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')]) {
    const client = new Client(t, served);
    client.send(bytes);
    await closed(client.server);
    t.type(client.server.errored, Error);
  }
});

t.test('a folder that is not there ends the stream', async (t) => {
  const client = new Client(t, join(layout(t).served, 'nowhere'));
  client.send(hello);
  await closed(client.server);
  t.match(client.server.errored, { code: 'ENOENT' });
});

t.test('packets in pieces of one byte are the same packets', async (t) => {
  const { served } = layout(t);
  const client = new Client(t, served);
  const bytes = Buffer.concat([
    hello,
    openPacket(1, 'file', OPEN.WRITE | OPEN.CREAT),
    writePacket(2, HANDLE_1, 'hello'),
  ]);
  for (const byte of bytes) client.send(Buffer.from([byte]));
  t.equal((await client.answer()).type, FXP.VERSION);
  t.equal((await client.answer()).type, FXP.HANDLE);
  t.equal(await client.status(), STATUS.OK);
  t.equal(fs.readFileSync(join(served, 'file'), 'utf8'), 'hello');
});

t.test('what is refused: links, extensions, another size, strange offsets and handles', async (t) => {
  const { served } = layout(t);
  fs.writeFileSync(join(served, 'file'), 'hello');
  const client = new Client(t, served);
  const handle = await client.open('file', OPEN.READ | OPEN.WRITE);
  client.send(packet(FXP.OPENDIR, 2, '/'));
  const folder = (await client.answer()).fields.bytes();
  const refused: ReadonlyArray<readonly [name: string, request: Buffer, status: number]> = [
    ['READLINK', packet(FXP.READLINK, 1, 'file'), STATUS.OP_UNSUPPORTED],
    ['SYMLINK', packet(FXP.SYMLINK, 1, 'link', 'file'), STATUS.OP_UNSUPPORTED],
    ['EXTENDED', packet(FXP.EXTENDED, 1, 'hardlink@openssh.com', 'file', 'link'), STATUS.OP_UNSUPPORTED],
    ['SETSTAT of a size', packet(FXP.SETSTAT, 1, 'file', 1, uint64(0n)), STATUS.OP_UNSUPPORTED],
    ['READ at the end', readPacket(1, handle, 5n, 10), STATUS.EOF],
    ['READ at 2^64-1', readPacket(1, handle, 0xffff_ffff_ffff_ffffn, 10), STATUS.FAILURE],
    ['WRITE at 2^64-1', writePacket(1, handle, 'lost', 0xffff_ffff_ffff_ffffn), STATUS.FAILURE],
    ['READ of a folder', readPacket(1, folder, 0n, 10), STATUS.FAILURE],
    ['READDIR of a file', packet(FXP.READDIR, 1, handle), STATUS.FAILURE],
    ['CLOSE of no handle', packet(FXP.CLOSE, 1, 'none'), STATUS.FAILURE],
    ['CLOSE', packet(FXP.CLOSE, 1, handle), STATUS.OK],
    ['CLOSE twice', packet(FXP.CLOSE, 1, handle), STATUS.FAILURE],
    ['READ after CLOSE', readPacket(1, handle, 0n, 10), STATUS.FAILURE],
    ['a path with a NUL', packet(FXP.STAT, 1, 'fi\0le'), STATUS.NO_SUCH_FILE],
  ];
  for (const [name, request, status] of refused) {
    client.send(request);
    t.equal(await client.status(), status, name);
  }
  t.equal(fs.readFileSync(join(served, 'file'), 'utf8'), 'hello');
});

t.test('a FIFO in the folder is not waited for', async (t) => {
  const { served } = layout(t);
  await mustRun(t, 'mkfifo', [join(served, 'fifo')]);
  const client = new Client(t, served);
  const handle = await client.open('fifo', OPEN.READ);
  client.send(readPacket(2, handle, 0n, 10), openPacket(3, 'fifo', OPEN.WRITE));
  t.equal(await client.status(), STATUS.FAILURE);
});

t.test('64 handles are open at most', async (t) => {
  const { served } = layout(t);
  fs.writeFileSync(join(served, 'file'), 'hello');
  const client = new Client(t, served);
  await client.open('file', OPEN.READ);
  for (let id = 2; id <= 64; id += 1) {
    client.send(id % 2 === 0 ? packet(FXP.OPENDIR, id, '/') : openPacket(id, 'file', OPEN.READ));
    t.equal((await client.answer()).type, FXP.HANDLE);
  }
  client.send(openPacket(65, 'file', OPEN.READ), packet(FXP.OPENDIR, 66, '/'), packet(FXP.CLOSE, 67, HANDLE_1));
  t.same(
    [await client.status(), await client.status(), await client.status()],
    [STATUS.FAILURE, STATUS.FAILURE, STATUS.OK],
  );
  client.send(openPacket(68, 'file', OPEN.READ));
  t.equal((await client.answer()).type, FXP.HANDLE, 'a closed one makes room');
});

t.test('a client that does not read is not read', async (t) => {
  const { served } = layout(t);
  await make(join(served, 'file'), 'not read', MIB);
  const client = new Client(t, served);
  const handle = await client.open('file', OPEN.READ);
  const requests = 3_000;
  for (let id = 1; id <= requests; id += 1) client.send(readPacket(id, handle, 0n, MIB));
  await until(() => client.server.writableNeedDrain, 'a full stream');
  t.ok(client.stream.writableNeedDrain, 'the rest of the requests stays with the client');
  for (let id = 1; id <= requests; id += 1) {
    const { type, fields } = await client.answer();
    if (type !== FXP.DATA || fields.bytes().length !== 255 * KIB) t.fail(`answer ${id}`);
    if (client.server.writableLength > 512 * KIB) t.fail(`${client.server.writableLength} bytes are held`);
  }
});

/** A client with a file open for writing, half of it sent, and the file's folder. */
async function inTransfer(
  t: Test,
): Promise<{ readonly client: Client; readonly served: string; readonly handle: Buffer }> {
  const { served } = layout(t);
  await make(join(served, 'source'), 'in transfer', MIB);
  const client = new Client(t, served);
  const handle = await client.open('half', OPEN.WRITE | OPEN.CREAT);
  client.send(openPacket(2, 'source', OPEN.READ), packet(FXP.OPENDIR, 3, '/'), writePacket(4, handle, 'half'));
  for (let answers = 0; answers < 3; answers += 1) await client.answer();
  t.equal(openIn(served), 3);
  return { client, served, handle };
}
const needsProc = TELLS_DESCRIPTORS ? {} : { skip: 'needs /proc/self/fd' };

t.test('all is closed when the client ends its side, after the last answers', needsProc, async (t) => {
  const { client, served, handle } = await inTransfer(t);
  client.stream.end(Buffer.concat([writePacket(5, handle, 'more', 4n), packet(FXP.CLOSE, 6, handle)]));
  t.same([await client.status(), await client.status()], [STATUS.OK, STATUS.OK]);
  client.stream.resume();
  await within(once(client.stream, 'end'), 'end of the answers');
  t.equal(openIn(served), 0);
  t.equal(fs.readFileSync(join(served, 'half'), 'utf8'), 'halfmore');
  t.equal(client.server.errored, null);
});

const ENDS: Readonly<Record<string, (client: Client, handle: Buffer) => Promise<void>>> = {
  'between two requests': async ({ server }) => {
    server.destroy();
  },
  'with an error': async ({ server }) => {
    server.on('error', () => {}).destroy(new Error('the connection was lost'));
  },
  'in the middle of a packet': async (client, handle) => {
    client.send(writePacket(5, handle, 'more').subarray(0, 20));
    await until(() => client.server.readableLength === 0, 'the half of a packet');
    client.server.destroy();
  },
  'while an answer waits for room': async (client) => {
    for (let id = 0; id < 100; id += 1) client.send(readPacket(id, Buffer.from('2'), 0n, MIB));
    await until(() => client.server.writableNeedDrain, 'a full stream');
    client.server.destroy();
  },
  'at a malformed packet after good ones': async (client, handle) => {
    client.send(writePacket(5, handle, 'more'), packet(99, 1));
  },
};

for (const [name, end] of Object.entries(ENDS)) {
  t.test(`all is closed when the stream ends ${name}`, needsProc, async (t) => {
    const { client, served, handle } = await inTransfer(t);
    await end(client, handle);
    await closed(client.server);
    await until(() => openIn(served) === 0, 'end of the last file');
  });
}

t.test('all is closed when the stream ends at any step of an opening', needsProc, async (t) => {
  const { served } = layout(t);
  for (let turns = 0; turns < 40; turns += 1) {
    const client = new Client(t, served);
    const files = Array.from({ length: 10 }, (_, id) => openPacket(id, `file-${id}`, OPEN.WRITE | OPEN.CREAT));
    client.send(hello, ...files, packet(FXP.OPENDIR, 11, '/'));
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    client.server.destroy();
    await until(() => openIn(served) === 0, `end of the files after ${turns} turns`);
  }
  t.pass('at none was a file left open');
});

t.test('all is closed when the stream was over before it began', needsProc, async (t) => {
  const { served } = layout(t);
  const [, server] = duplexPair();
  server.destroy();
  serveSftp(server, served);
  await closed(server);
  await until(() => openIn(served) === 0, 'end of the last file');
});
