/** Sessions (RFC 4254 §6) on a fake port: what the peer may say and what of it reaches the handler, and every way in which
 *  the two can end. Their way over the wire stands in flow/sessions and hostile_basics/requests. */
import { once } from 'node:events';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import t from 'tap';
import { reasonOf } from '../../../src/shared/errors.js';
import type { ChannelNews } from '../../../src/shared/events.js';
import { concatFields, MSG, WireReader } from '../../../src/shared/protocol.js';
import { ChannelTable } from '../../../src/worker/channel/table.js';
import { type Session, SIGNALS, type Terminal } from '../../../src/worker/connection/session.js';
import { SessionChannel, type SessionOptions } from '../../../src/worker/connection/session_channel.js';
import type { Account } from '../../../src/worker/memory.js';
import { plenty } from '../../support/account.js';
import { FakePort } from '../../support/fake_port.js';
import { until } from '../../support/joined.js';

/** Everything that was sent, in words. */
class TalkingPort extends FakePort {
  readonly #said: string[] = [];
  override send(payload: Uint8Array): void {
    super.send(payload);
    this.#said.push(inWords(Buffer.from(payload)));
  }
  override sendData(to: number, source: Uint8Array, start: number, end: number): void {
    super.sendData(to, source, start, end);
    this.#said.push(`data ${Buffer.from(source.subarray(start, end)).toString()}`);
  }
  /** Takes what was said so far. */
  said(): string[] {
    return this.#said.splice(0);
  }
}

function inWords(payload: Buffer): string {
  const reader = new WireReader(payload, 5);
  switch (payload[0]) {
    case MSG.CHANNEL_SUCCESS:
      return 'success';
    case MSG.CHANNEL_FAILURE:
      return 'failure';
    case MSG.CHANNEL_EOF:
      return 'eof';
    case MSG.CHANNEL_CLOSE:
      return 'close';
    case MSG.CHANNEL_WINDOW_ADJUST:
      return `adjust ${reader.uint32()}`;
    case MSG.CHANNEL_EXTENDED_DATA:
      return `stderr${reader.uint32() === 1 ? '' : '?'} ${reader.text()}`;
    case MSG.CHANNEL_REQUEST: {
      const name = reader.text();
      const wanted = reader.boolean() ? ' wanted' : '';
      if (name === 'exit-status') return `exit-status${wanted} ${reader.uint32()}`;
      const [signal, core, text, language] = [reader.text(), reader.boolean(), reader.text(), reader.text()];
      return `${name}${wanted} ${signal} ${core} '${text}' '${language}'${reader.atEnd ? '' : ' and more'}`;
    }
    default:
      return `message ${payload[0]}`;
  }
}

type Handler = (session: Session) => void | Promise<void>;

function make(
  t: { fail(what: string): unknown },
  handler: Handler = () => {},
  options: {
    readonly windowBytes?: number;
    readonly timeouts?: Partial<SessionOptions['timeouts']>;
    readonly account?: Account;
  } = {},
) {
  const port = new TalkingPort();
  const table = new ChannelTable(port, {
    maxChannels: 1,
    memoryBytes: 64 * 1024,
    account: options.account ?? plenty(),
    now: () => 0,
    violated: (what) => t.fail(what),
  });
  const reservation = table.reserve();
  if (reservation === null) throw new Error('no room');
  const { windowBytes = 1024 * 1024 } = options;
  const channel = table.open(reservation, { id: 9, windowBytes, maxPacketBytes: 32 * 1024 }, 0);
  const events: ChannelNews[] = [];
  const refused: string[] = [];
  const sessions: Session[] = [];
  const heard: string[] = [];
  new SessionChannel(channel, {
    timeouts: { halfCloseMs: 0, idleChannelMs: 0, ...options.timeouts },
    lingering: plenty(),
    onEvent: (event) => events.push(event),
    onOpened: (kind) => heard.push(`timed ${kind}`), // never: nothing is waited for
    nextChannel: () => 1,
    now: () => 0,
    onSession(session, failed) {
      sessions.push(session);
      for (const name of ['end', 'finish', 'close', 'error']) session.on(name, () => heard.push(name));
      const fail = (thrown: unknown): void => failed(reasonOf(thrown));
      try {
        Promise.resolve(handler(session)).catch(fail);
      } catch (thrown) {
        fail(thrown);
      }
    },
    onRefused: (what, code, detail) => refused.push([what, code, ...(detail === undefined ? [] : [detail])].join(' ')),
  });
  return {
    port,
    said: () => port.said(),
    table,
    channel,
    refused,
    sessions,
    heard,
    ask: (name: string, ...fields: Parameters<typeof concatFields>[0]) =>
      channel.onRequest(name, true, concatFields(fields)),
    data: (text: string) => channel.onData(Buffer.from(text), null),
    /** Reasons, with details. */
    ends: () =>
      events.flatMap((event) =>
        event.event === 'channel.closed'
          ? [event.reason + (event.detail === undefined ? '' : `: ${event.detail}`)]
          : [],
      ),
    closed: () => until(() => heard.includes('close'), "'close'"),
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const PTY = ['xterm-256color', 80, 24, 640, 480, Buffer.from([53, 0, 0, 0, 1, 0])] as const;

t.test('reject(): the answer to the request goes before all that follows from it', async (t) => {
  for (const kind of ['shell', 'exec'] as const)
    await t.test(kind, async (t) => {
      const { said, ask, refused, ends, closed } = make(t, (session) => session.reject('no shell'));
      if (kind === 'exec') ask('exec', 'ls');
      else ask('shell');
      await closed();
      t.same(said(), ['success', 'stderr no shell\n', 'exit-status 1', 'eof', 'close']);
      t.same(refused, [`${kind} POLICY_DENIED`]);
      t.same(ends(), ['COMPLETE']);
    });

  await t.test('all of it in one batch: none of it waits for another turn', async (t) => {
    const { port, said, ask } = make(t, (session) => {
      session.write('hello');
      session.exit();
    });
    ask('shell');
    t.same(said(), ['success']);
    await Promise.resolve();
    t.same(said(), ['data hello']);
    await turn();
    t.same(said(), ['exit-status 0', 'eof', 'close']);
    t.equal(port.sent.length, 5);
  });

  await t.test('a terminal wants both line ends, in every line, once', async (t) => {
    const { said, ask, closed } = make(t, (session) => session.reject('one\ntwo\r\nthree'));
    ask('pty-req', ...PTY);
    ask('shell');
    await closed();
    t.same(said().slice(2, 3), ['stderr one\r\ntwo\r\nthree\r\n']);
  });

  await t.test('without a text', async (t) => {
    const { said, ask, closed } = make(t, (session) => session.reject());
    ask('shell');
    await closed();
    t.same(said(), ['success', 'exit-status 1', 'eof', 'close']);
  });

  await t.test('later, and what the peer types meanwhile is thrown away with its credit', async (t) => {
    const { said, ask, data, channel, sessions, refused, closed } = make(t, () => {}, { windowBytes: 2 });
    ask('shell');
    await turn();
    sessions[0]?.reject('no');
    for (let n = 0; n < 8; n++) {
      data('x'.repeat(channel.receiveWindowBytes / 4));
      await turn();
    }
    t.match(said().join(), /^success,stderr no(,adjust \d+)+$/);
    channel.onWindowAdjust(1);
    await closed();
    t.same(said(), ['stderr \n', 'exit-status 1', 'eof', 'close']);
    t.same(refused, ['shell POLICY_DENIED']);
  });

  await t.test('it is said once, and an end that came before counts', async (t) => {
    const twice = make(t, (session) => {
      session.reject('no');
      session.reject('no');
    });
    twice.ask('shell');
    await twice.closed();
    twice.sessions[0]?.reject('no');
    t.same(twice.said(), ['success', 'stderr no\n', 'exit-status 1', 'eof', 'close']);
    t.same(twice.refused, ['shell POLICY_DENIED']);
    const ended = make(t, (session) => {
      session.exit(0);
      session.reject('no');
    });
    ended.ask('shell');
    await ended.closed();
    t.same(ended.said(), ['success', 'exit-status 0', 'eof', 'close']);
    t.same(ended.refused, []);
  });
});

t.test('a subsystem that is refused', async (t) => {
  await t.test('before the hook returns: a plain failure, and the peer may ask for something else', async (t) => {
    const made = make(t, (session) => {
      session.onSignal(() => t.fail('a signal for a handler that has said no'));
      session.onTerminal(() => t.fail('a size for a handler that has said no'));
      if (session.request.kind !== 'subsystem') return session.exit(3);
      session.write('never');
      session.write('sent');
      session.stderr.write('nor');
      session.reject('nor this');
    });
    const { said, ask, sessions, refused, channel, ends, heard, closed, table } = made;
    ask('env', 'LANG', 'C');
    ask('pty-req', ...PTY);
    ask('subsystem', 'sf\ntp');
    t.same(said(), ['success', 'success', 'failure']);
    t.same(refused, ['subsystem sf\\x0atp POLICY_DENIED']);
    await closed();
    t.same(heard, ['close'], 'the handler is told that its session is over');
    t.same(ends(), [], 'the channel is not');
    sessions[0]?.exit(7);
    sessions[0]?.reject('again');
    sessions[0]?.write('behind');
    ask('signal', 'INT'); // nobody's
    ask('window-change', 1, 2, 3, 4);
    t.same(said(), ['success', 'success']);
    ask('subsystem', 'other');
    t.same(said(), ['failure']);
    ask('exec', 'cat');
    t.same(sessions[2]?.request, { kind: 'exec', command: 'cat' });
    t.same(sessions[2]?.env, new Map([['LANG', 'C']]));
    t.match(sessions[2]?.terminal, { columns: 1, rows: 2 });
    await turn();
    t.same(said(), ['success', 'exit-status 3', 'eof', 'close']);
    t.same(refused.length, 2);
    t.same(ends(), ['COMPLETE']);
    channel.onPeerClose();
    t.equal(table.size, 0);
    t.equal(ends().length, 1);
  });

  await t.test('an old handler does not answer for a new one', async (t) => {
    const { ask, sessions, refused, said } = make(t, (session) => {
      if (session.request.kind !== 'subsystem') sessions[0]?.reject();
      else session.reject();
    });
    ask('subsystem', 'sftp');
    ask('subsystem', 'sftp');
    ask('exec', 'cat');
    t.same(refused, Array(2).fill('subsystem sftp POLICY_DENIED'));
    t.same(said(), ['failure', 'failure', 'success']);
  });

  await t.test('afterwards: as a command', async (t) => {
    const { said, ask, sessions, refused, closed } = make(t);
    ask('subsystem', 'sftp');
    await turn();
    sessions[0]?.reject('no sftp');
    await closed();
    t.same(said(), ['success', 'stderr no sftp\n', 'exit-status 1', 'eof', 'close']);
    t.same(refused, ['subsystem sftp POLICY_DENIED']);
  });

  await t.test('and destroyed at once: told once, with nothing behind CLOSE', async (t) => {
    const { said, ask, channel, ends, table } = make(t, (session) => {
      session.reject('no');
      session.destroy();
    });
    ask('subsystem', 'sftp');
    ask('exec', 'ls');
    await turn();
    t.same(said(), ['close']);
    channel.onPeerClose();
    t.same(ends(), ['TARGET_ERROR']);
    t.equal(table.size, 0);
  });

  await t.test('whose peer leaves at once', async (t) => {
    const { said, ask, channel, ends, table } = make(t, (session) => session.reject('no'));
    ask('subsystem', 'sftp');
    channel.onPeerClose();
    await turn();
    t.same(said(), ['failure', 'close']);
    t.same(ends(), ['PEER_CLOSED']);
    t.equal(table.size, 0);
  });
});

t.test('a hook that fails', async (t) => {
  const bang = new Error('bang');
  for (const kind of ['shell', 'subsystem'] as const)
    await t.test(`throws, ${kind}: a failure, and the channel lives`, async (t) => {
      const { said, ask, refused, ends, channel, heard, sessions } = make(t, (session) => {
        session.write('never');
        session.write('sent');
        session.exit(4);
        throw bang;
      });
      ask(kind, 'sftp');
      t.same(said(), ['failure']);
      t.same(refused, [kind === 'shell' ? 'shell HOOK_FAILED bang' : 'subsystem sftp HOOK_FAILED bang']);
      await turn();
      t.same(heard, ['close']);
      t.same(said(), []);
      ask('shell');
      t.equal(sessions.length, 2);
      channel.onPeerClose();
      t.same(ends(), ['PEER_CLOSED']);
    });

  await t.test('throws when it has destroyed the session', async (t) => {
    const { said, ask, refused, ends, channel, table } = make(t, (session) => {
      session.destroy();
      throw bang;
    });
    ask('shell');
    await turn();
    channel.onPeerClose();
    t.same(said(), ['close']);
    t.same(refused, ['shell HOOK_FAILED bang']);
    t.equal(ends().length, 1);
    t.equal(table.size, 0);
  });

  await t.test('rejects at once', async (t) => {
    const { said, ask, refused, ends, closed } = make(t, async (session) => {
      session.write('never sent');
      throw bang;
    });
    ask('shell');
    await closed();
    t.same(said(), ['success', 'close']);
    t.same(refused, []);
    t.same(ends(), ['HOOK_FAILED: bang']);
  });

  await t.test('rejects later', async (t) => {
    let reject: (error: Error) => void = () => {};
    const { said, ask, data, ends, closed } = make(t, async (session) => {
      session.write('first');
      await new Promise((_resolve, later) => {
        reject = later;
      });
    });
    ask('exec', 'ls');
    await turn();
    data('typed');
    reject(bang);
    await closed();
    t.same(said(), ['success', 'data first', 'close']);
    t.same(ends(), ['HOOK_FAILED: bang']);
  });

  await t.test('rejects when all is over', async (t) => {
    const { said, ask, ends } = make(t, async (session) => {
      session.exit(0);
      await once(session, 'close');
      throw bang;
    });
    ask('shell');
    await turn();
    await turn();
    t.same(said(), ['success', 'exit-status 0', 'eof', 'close']);
    t.same(ends(), ['COMPLETE']);
  });

  await t.test('a listener that throws', async (t) => {
    const listeners: { readonly [name: string]: (made: ReturnType<typeof make>, session: Session) => void } = {
      signal: ({ ask }, session) => {
        session.onSignal(() => {
          throw bang;
        });
        ask('signal', 'INT');
      },
      terminal: ({ ask }, session) => {
        session.onTerminal(() => {
          throw bang;
        });
        ask('window-change', 1, 1, 1, 1);
      },
      data: ({ data }, session) => {
        session.on('data', () => {
          throw bang;
        });
        data('x');
      },
      end: ({ channel }, session) => {
        session.resume().on('end', () => {
          throw bang;
        });
        channel.onEof();
      },
      "stderr's drain": ({ channel }, session) => {
        session.stderr.on('drain', () => {
          throw bang;
        });
        session.stderr.write(Buffer.alloc(100_000));
        channel.onWindowAdjust(1_000_000);
      },
      "stderr's finish": (_made, session) => {
        session.stderr.on('finish', () => {
          throw bang;
        });
        session.stderr.end();
      },
    };
    for (const [name, run] of Object.entries(listeners))
      await t.test(name, async (t) => {
        const made = make(t, () => {}, { windowBytes: 1000 });
        made.ask('pty-req', ...PTY);
        made.ask('shell');
        await turn();
        const [session] = made.sessions;
        if (session !== undefined) run(made, session);
        await made.closed();
        t.equal(made.said().at(-1), 'close');
        t.same(made.ends(), ['HOOK_FAILED: bang']);
      });
  });
});

t.test('RFC 4254 §6.5: what was asked for', async (t) => {
  await t.test('exec', (t) => {
    const { ask, sessions } = make(t);
    ask('exec', "ls 'a b' \u00fc");
    t.same(sessions[0]?.request, { kind: 'exec', command: "ls 'a b' \u00fc" });
    t.equal(sessions[0]?.terminal, null);
    t.end();
  });
  await t.test('subsystem', (t) => {
    const { ask, sessions } = make(t);
    ask('subsystem', 'sftp');
    t.same(sessions[0]?.request, { kind: 'subsystem', name: 'sftp' });
    t.end();
  });
  await t.test('once per channel; a terminal and variables come before', async (t) => {
    const { ask, said, sessions } = make(t);
    ask('shell');
    for (const name of ['shell', 'exec', 'subsystem']) ask(name, 'ls');
    ask('pty-req', ...PTY);
    ask('env', 'A', 'b');
    await turn();
    t.same(said(), ['success', ...Array(5).fill('failure')]);
    t.equal(sessions.length, 1);
    t.same([sessions[0]?.terminal, sessions[0]?.env.size], [null, 0]);
  });
  await t.test('nothing else is granted, before or after', (t) => {
    const { ask, said } = make(t);
    for (let n = 0; n < 2; n++) {
      for (const name of [
        'x11-req',
        'auth-agent-req@openssh.com',
        'break',
        'xon-xoff',
        'eow@openssh.com',
        '',
        '__proto__',
      ])
        ask(name);
      if (n === 0) ask('shell');
    }
    t.same(said(), [...Array(7).fill('failure'), 'success', ...Array(7).fill('failure')]);
    t.end();
  });
  await t.test('a command may be as long as a packet', (t) => {
    const { ask, said, sessions } = make(t);
    ask('exec', 'x'.repeat(35_000));
    t.same(said(), ['success']);
    t.same(sessions[0]?.request, { kind: 'exec', command: 'x'.repeat(35_000) });
    t.end();
  });
  await t.test('no text is a view of the read buffer', (t) => {
    const { channel, sessions } = make(t);
    const buffer = concatFields(['LANG', 'C.UTF-8']);
    channel.onRequest('env', false, buffer);
    buffer.fill('x');
    const terminal = concatFields([...PTY]);
    channel.onRequest('pty-req', false, terminal);
    terminal.fill('x');
    const command = concatFields(['ls']);
    channel.onRequest('exec', false, command);
    command.fill('x');
    t.same(sessions[0]?.env, new Map([['LANG', 'C.UTF-8']]));
    t.same(sessions[0]?.request, { kind: 'exec', command: 'ls' });
    t.match(sessions[0]?.terminal, { term: 'xterm-256color', columns: 80, modes: new Map([[53, 1]]) });
    t.end();
  });
});

t.test('RFC 4254 §6.2: the terminal', async (t) => {
  await t.test('no name of one is longer than 256 bytes', (t) => {
    const { ask, sessions, said } = make(t);
    const [, ...rest] = PTY;
    ask('pty-req', 't'.repeat(257), ...rest);
    ask('pty-req', 't'.repeat(256), ...rest);
    ask('shell');
    t.same(said(), ['failure', 'success', 'success']);
    t.equal(sessions[0]?.terminal?.term.length, 256);
    t.end();
  });
  await t.test('its fields', (t) => {
    const { ask, sessions } = make(t);
    ask('pty-req', 'xterm', 80, 24, 640, 480, Buffer.from([1, 0, 0, 0, 3, 53, 0, 0, 0, 1, 0, 99]));
    ask('shell');
    t.same(sessions[0]?.terminal, {
      term: 'xterm',
      columns: 80,
      rows: 24,
      width: 640,
      height: 480,
      modes: new Map([
        [1, 3],
        [53, 1],
      ]),
    });
    t.end();
  });
  await t.test('the last one counts', (t) => {
    const { ask, sessions } = make(t);
    ask('pty-req', ...PTY);
    ask('pty-req', 'vt100', 1, 2, 3, 4, '');
    ask('shell');
    t.match(sessions[0]?.terminal, { term: 'vt100', columns: 1, rows: 2, width: 3, height: 4 });
    t.equal(sessions[0]?.terminal?.modes.size, 0);
    t.end();
  });
  await t.test('§8: modes end at TTY_OP_END, at an undefined opcode, or where they are cut', (t) => {
    const mode = (opcode: number, value: number): number[] => [opcode, 0, 0, 0, value];
    for (const [modes, size] of [
      [[], 0],
      [[0], 0],
      [[...mode(1, 3)], 1],
      [[...mode(1, 3), ...mode(2, 3).slice(0, 4)], 1],
      [[...mode(1, 3), 160, ...mode(2, 3)], 1],
      [[...mode(1, 3), ...mode(159, 3), 0], 2],
      [[...mode(1, 3), ...mode(1, 4), 0], 1],
    ] as const) {
      const { ask, said, sessions } = make(t);
      ask('pty-req', 'xterm', 1, 1, 1, 1, Buffer.from([...modes]));
      ask('shell');
      t.equal(sessions[0]?.terminal?.modes.size, size, modes.join());
      t.same(said(), ['success', 'success']);
    }
    t.end();
  });
});

t.test('RFC 4254 §6.4: variables', async (t) => {
  await t.test('reach the handler, whatever their names', (t) => {
    const { ask, sessions, said } = make(t);
    for (const [name, value] of [
      ['LANG', 'C'],
      ['__proto__', 'x'],
      ['constructor', ''],
      ['', 'empty'],
      ['LANG', 'de'],
    ] as const)
      ask('env', name, value);
    ask('shell');
    t.same(
      [...(sessions[0]?.env ?? [])],
      [
        ['LANG', 'de'],
        ['__proto__', 'x'],
        ['constructor', ''],
        ['', 'empty'],
      ],
    );
    t.same(said(), Array(6).fill('success'));
    t.end();
  });
  await t.test('128 of them', (t) => {
    const { ask, sessions, said } = make(t);
    for (let n = 0; n < 129; n++) ask('env', `V${n}`, 'x');
    t.same(said(), [...Array(128).fill('success'), 'failure']);
    ask('shell');
    t.equal(sessions[0]?.env.size, 128);
    t.end();
  });
  await t.test('8 KiB of them, names counted', (t) => {
    const { ask, sessions, said } = make(t);
    ask('env', 'n'.repeat(1024), 'v'.repeat(7 * 1024 - 1));
    ask('env', 'a', 'b');
    ask('env', 'c', '');
    ask('env', 'd', '');
    ask('env', '', 'v'.repeat(32 * 1024));
    t.same(said(), ['success', 'failure', 'success', 'failure', 'failure']);
    ask('shell');
    t.equal(sessions[0]?.env.size, 2);
    t.end();
  });
});

t.test(
  'what a session is told before it begins counts as its connection’s memory, until its channel ends',
  async (t) => {
    const told = (ask: ReturnType<typeof make>['ask']): void => {
      for (let n = 0; n < 128; n++) ask('env', `V${n}`, 'x'.repeat(58));
      const modes = Buffer.alloc(159 * 5 + 1);
      for (let opcode = 1; opcode < 160; opcode++) modes[(opcode - 1) * 5] = opcode;
      ask('pty-req', 'xterm', 80, 24, 640, 480, modes);
    };
    const waits = plenty();
    const waiting = make(t, () => {}, { account: waits });
    told(waiting.ask);
    t.ok(waits.bytes > 32 * 1024, `${waits.bytes} bytes`);
    waiting.channel.onPeerClose();
    t.equal(waits.bytes, 0);

    const runs = plenty();
    const running = make(t, () => {}, { account: runs });
    told(running.ask);
    const before = runs.bytes;
    running.ask('exec', 'x'.repeat(30 * 1024));
    t.equal(runs.bytes - before, 30 * 1024, 'the session has it now');
    running.sessions[0]?.destroy();
    t.equal(runs.bytes, 0);
  },
);

t.test('RFC 4254 §6.7, §6.9: changes reach the listeners only with valid values', async (t) => {
  const sizes: Terminal[] = [];
  const signals: string[] = [];
  const { ask, channel, said, sessions } = make(t, (session) => {
    session.onTerminal(() => t.fail('replaced'));
    session.onTerminal((terminal) => sizes.push(terminal));
    session.onSignal(() => t.fail('replaced'));
    session.onSignal((signal) => signals.push(signal));
  });
  ask('window-change', 1, 2, 3, 4);
  ask('signal', 'INT');
  ask('pty-req', ...PTY);
  ask('window-change', 5, 6, 7, 8);
  t.same(said(), ['failure', 'success', 'success', 'success'], 'without a terminal it has no size');
  ask('shell');
  t.match(sessions[0]?.terminal, { term: 'xterm-256color', columns: 5, rows: 6, width: 7, height: 8 });
  said();

  ask('window-change', 100, 50, 0, 0);
  t.match(sizes, [{ term: 'xterm-256color', columns: 100, rows: 50, width: 0, height: 0, modes: new Map([[53, 1]]) }]);
  t.equal(sessions[0]?.terminal, sizes[0]);
  for (const signal of SIGNALS) ask('signal', signal);
  t.same(signals, [...SIGNALS]);
  t.same(said(), Array(14).fill('success'));

  for (const signal of ['', 'int', 'SIGINT', 'INT\0', 'WINCH', '__proto__']) ask('signal', signal);
  channel.onRequest('signal', true, Buffer.concat([concatFields(['TERM']), Buffer.from('x')]));
  ask('window-change', 1, 2, 3);
  ask('window-change', 1, 2, 3, 4, 5);
  t.same(said(), Array(9).fill('failure'));
  t.same([signals.length, sizes.length], [13, 1]);
});

t.test('malformed requests of each kind: refused, never thrown, wherever they are cut', async (t) => {
  const requests = {
    'pty-req': concatFields([...PTY]),
    env: concatFields(['LANG', 'C']),
    exec: concatFields(['ls']),
    subsystem: concatFields(['sftp']),
    'window-change': concatFields([1, 2, 3, 4]),
    signal: concatFields(['TERM']),
  };
  for (const [name, details] of Object.entries(requests))
    await t.test(name, (t) => {
      for (const running of [false, true])
        for (let bytes = 0; bytes < details.length; bytes++) {
          const { channel, ask, said, sessions, refused } = make(t, (session) => {
            session.onTerminal(() => t.fail('a size'));
            session.onSignal(() => t.fail('a signal'));
          });
          ask('pty-req', 'xterm', 1, 1, 1, 1, '');
          if (running) ask('shell');
          said();
          channel.onRequest(name, true, details.subarray(0, bytes));
          t.same(said(), ['failure'], `${bytes} bytes`);
          t.equal(sessions.length, running ? 1 : 0);
          t.same(refused, []);
        }
      // A length that points far beyond, and one byte too many.
      for (const bad of [Buffer.alloc(details.length, 0xff), Buffer.concat([details, Buffer.alloc(1)])]) {
        const { channel, ask, said } = make(t);
        ask('pty-req', 'xterm', 1, 1, 1, 1, '');
        said();
        channel.onRequest(name, true, bad);
        t.same(said(), [name === 'window-change' && bad.length === details.length ? 'success' : 'failure']);
      }
      t.end();
    });

  await t.test('bytes that are no UTF-8', (t) => {
    const { ask, said, sessions } = make(t);
    ask('env', Buffer.from([0xff]), Buffer.from([0xfe, 0x41]));
    ask('exec', Buffer.from([0xc3, 0x28]));
    t.same(said(), ['success', 'success']);
    t.same(sessions[0]?.env, new Map([['\ufffd', '\ufffdA']]));
    t.same(sessions[0]?.request, { kind: 'exec', command: '\ufffd(' });
    t.end();
  });
});

t.test('before anything was asked for', async (t) => {
  await t.test('what the peer types is thrown away, and its credit given back', (t) => {
    const { said, channel, data } = make(t);
    data('x'.repeat(channel.receiveWindowBytes));
    t.same(said(), [`adjust ${channel.receiveWindowBytes}`]);
    t.end();
  });
  await t.test('a peer that closes, or is lost', (t) => {
    for (const end of ['onPeerClose', 'onConnectionLost'] as const) {
      const { channel, said, ends, table } = make(t);
      channel.onEof();
      channel[end]();
      channel.onConnectionLost();
      t.same(said(), end === 'onPeerClose' ? ['close'] : []);
      t.same(ends(), ['PEER_CLOSED']);
      if (end === 'onPeerClose') t.equal(table.size, 0);
    }
    t.end();
  });
  await t.test('EOF, then the request: the handler reads the end', async (t) => {
    const { channel, ask, said, heard, closed } = make(t, (session) => {
      session.resume().on('end', () => session.end('read it'));
    });
    channel.onEof();
    ask('exec', 'wc');
    await closed();
    t.same(said(), ['success', 'data read it', 'eof', 'exit-status 0', 'close']);
    t.same(heard.slice(0, 1), ['end']);
  });
  await t.test('EOF, a request that is refused, then another', async (t) => {
    const { channel, ask, said, closed } = make(t, (session) => {
      if (session.request.kind === 'subsystem') session.reject();
      else session.resume().end();
    });
    channel.onEof();
    ask('subsystem', 'sftp');
    ask('shell');
    await closed();
    t.same(said(), ['failure', 'success', 'eof', 'exit-status 0', 'close']);
  });
});

t.test('a peer that leaves before it was told', async (t) => {
  for (const eof of ['none', 'before the request', 'behind it'])
    for (const end of ['onPeerClose', 'onConnectionLost'] as const)
      await t.test(`${end}, EOF ${eof}`, async (t) => {
        const { channel, ask, said, ends, heard, table, closed } = make(t, (session) => {
          session.write('welcome');
          session.exit(0);
        });
        if (eof === 'before the request') channel.onEof();
        ask('shell');
        if (eof === 'behind it') channel.onEof();
        channel[end](); // in the same read
        await closed();
        await turn();
        t.same(said(), end === 'onPeerClose' ? ['success', 'close'] : ['success']);
        t.equal(ends().length, 1);
        t.notOk(heard.includes('error'));
        t.equal(heard.filter((name) => name === 'close').length, 1);
        if (end === 'onPeerClose') t.equal(table.size, 0);
      });
});

t.test('a handler that destroys at once: nothing is sent behind CLOSE', async (t) => {
  for (const error of [undefined, new Error('changed\nmy mind')])
    await t.test(String(error?.message), async (t) => {
      const { channel, ask, said, ends, heard, table, closed } = make(t, (session) => {
        session.write('hello');
        session.stderr.write('hello');
        session.destroy(error);
      });
      ask('shell');
      await closed();
      t.same(said(), ['close'], 'no answer to the request: the channel is gone');
      channel.onWindowAdjust(1);
      channel.onEof();
      channel.onPeerClose();
      t.same(said(), []);
      t.same(ends(), [error === undefined ? 'TARGET_ERROR' : 'TARGET_ERROR: changed\\x0amy mind']);
      t.equal(heard.includes('error'), error !== undefined);
      t.equal(table.size, 0);
    });
});

t.test('its end is told once, and the number is free when the peer agrees', async (t) => {
  const { table, channel, ask, ends, closed } = make(t, (session) => session.exit());
  ask('shell');
  await closed();
  t.same([ends(), table.size], [['COMPLETE'], 1]);
  channel.onPeerClose();
  channel.onConnectionLost();
  t.same([ends(), table.size], [['COMPLETE'], 0]);
});

t.test('exit()', async (t) => {
  await t.test('goes behind output that waits for the peer, on both streams', async (t) => {
    const { channel, ask, said, heard, ends, closed } = make(
      t,
      (session) => {
        session.write('12345');
        session.stderr.write('oops');
        session.write('678');
        session.exit(300);
      },
      { windowBytes: 2 },
    );
    ask('exec', 'x');
    await turn();
    t.same(said(), ['success', 'data 12']);
    channel.onWindowAdjust(4);
    await turn();
    t.same(said(), ['data 345', 'stderr o']);
    t.same(heard, []);
    channel.onWindowAdjust(100);
    await closed();
    t.same(said(), ['stderr ops', 'data 678', 'exit-status 300', 'eof', 'close']);
    t.same(ends(), ['COMPLETE']);
  });

  await t.test('the first one counts', async (t) => {
    const { ask, said, closed } = make(t, (session) => {
      session.exit(1);
      session.exit(2);
      session.exitSignal('KILL');
      session.end();
    });
    ask('shell');
    await closed();
    t.same(said(), ['success', 'exit-status 1', 'eof', 'close']);
  });

  await t.test('as a signal', async (t) => {
    const { ask, said, closed } = make(t, (session) => {
      session.exitSignal('SEGV', { coreDumped: true, message: 'b\u00e4ng' });
      session.exit(2);
    });
    ask('shell');
    await closed();
    t.same(said(), ['success', "exit-signal SEGV true 'b\u00e4ng' ''", 'eof', 'close']);
  });

  await t.test('any number is a uint32', async (t) => {
    for (const [status, sent] of [
      [0, 0],
      [255, 255],
      [-1, 0xffff_ffff],
      [1.9, 255],
      [Number.NaN, 255],
      [Number.POSITIVE_INFINITY, 255],
      [2 ** 32 + 7, 7],
    ] as const) {
      const { ask, said, closed } = make(t, (session) => session.exit(status));
      ask('shell');
      await closed();
      t.equal(said()[1], `exit-status ${sent}`);
    }
  });

  await t.test('behind end(), however far that has come', async (t) => {
    const moments: { readonly [name: string]: (session: Session) => Promise<unknown> | undefined } = {
      'in the same step': () => undefined,
      'one microtask later': () => Promise.resolve(),
      'two microtasks later': () => Promise.resolve().then(() => {}),
      'three microtasks later': () => Promise.resolve().then(() => Promise.resolve()),
      'in the next tick': () => new Promise(process.nextTick),
      "at stderr's finish": (session) => once(session.stderr, 'finish'),
      "at 'prefinish'": (session) => once(session, 'prefinish'),
      "at 'finish'": (session) => once(session, 'finish'),
      'a turn later': () => turn(),
    };
    for (const [name, moment] of Object.entries(moments))
      await t.test(name, async (t) => {
        const { ask, said, ends, closed } = make(t, async (session) => {
          session.end('out');
          const wait = moment(session);
          if (wait !== undefined) await wait;
          session.exit(3);
        });
        ask('shell');
        await closed();
        const all = said();
        t.same(all.slice(0, 2), ['success', 'data out']);
        t.same(all.slice(2, 4).sort(), ['eof', 'exit-status 3']);
        t.same(all.slice(4), ['close']);
        t.same(ends(), ['COMPLETE']);
      });

    await t.test("synchronously, in a listener of 'prefinish' and of 'finish'", async (t) => {
      for (const name of ['prefinish', 'finish']) {
        const { ask, said, closed } = make(t, (session) => {
          session.on(name, () => session.exit(3));
          session.end('out');
        });
        ask('shell');
        await closed();
        t.same(said().sort(), ['close', 'data out', 'eof', 'exit-status 3', 'success'], name);
      }
    });
  });

  await t.test('while what was ended is still blocked', async (t) => {
    const { channel, ask, said, sessions, closed } = make(t, (session) => void session.end('out'), { windowBytes: 1 });
    ask('shell');
    await turn();
    sessions[0]?.exit(9);
    await turn();
    t.same(said(), ['success', 'data o']);
    channel.onWindowAdjust(10);
    await closed();
    t.same(said(), ['data ut', 'exit-status 9', 'eof', 'close']);
  });

  await t.test('of a session that reads nothing, with input that nobody took', async (t) => {
    const { channel, ask, data, said, ends, table, closed } = make(t, (session) => session.exit(0));
    ask('exec', 'true');
    data('x'.repeat(1000));
    channel.onEof();
    await closed();
    t.same(said(), ['success', 'exit-status 0', 'eof', 'close']);
    t.same(ends(), ['COMPLETE']);
    channel.onPeerClose();
    t.equal(table.size, 0);
  });

  await t.test('corked', async (t) => {
    const { ask, said, closed } = make(t, (session) => {
      session.cork();
      for (const letter of 'abc') session.write(letter);
      session.stderr.cork();
      for (const letter of 'def') session.stderr.write(letter);
      session.exit(0);
    });
    ask('shell');
    await closed();
    t.same(said().sort(), ['close', 'data abc', 'eof', 'exit-status 0', 'stderr def', 'success']);
  });

  await t.test('with stderr ended or destroyed before', async (t) => {
    for (const how of ['end', 'destroy'] as const) {
      const { ask, said, sessions, closed } = make(t, (session) => {
        session.stderr[how]();
        session.write('out');
      });
      ask('shell');
      await turn();
      sessions[0]?.exit(5);
      await closed();
      t.same(said(), ['success', 'data out', 'exit-status 5', 'eof', 'close'], how);
    }
  });

  await t.test('to a peer that has closed, before its last bytes were read', async (t) => {
    const { channel, ask, data, said, sessions, ends, table, closed } = make(t);
    ask('exec', 'x');
    await turn();
    data('unread');
    channel.onEof();
    channel.onPeerClose();
    t.equal(table.size, 1);
    sessions[0]?.exit(0);
    await closed();
    t.same(said(), ['success', 'close']);
    t.same([ends(), table.size], [['PEER_CLOSED'], 0], 'it never heard the status');
  });

  await t.test('when the session is over', async (t) => {
    const { ask, said, sessions, channel, closed } = make(t);
    ask('shell');
    await turn();
    channel.onPeerClose();
    await closed();
    sessions[0]?.exit(1);
    sessions[0]?.reject('no');
    sessions[0]?.exitSignal('HUP');
    await turn();
    t.same(said(), ['success', 'close']);
  });
});

t.test('end() without an exit', async (t) => {
  for (const first of ['the peer', 'the handler'])
    await t.test(`exit status 0 when both have ended, ${first} first`, async (t) => {
      const { channel, ask, said, sessions, ends, closed } = make(t);
      ask('shell');
      await turn();
      const [session] = sessions;
      if (first === 'the peer') {
        channel.onEof();
        session?.resume();
        await turn();
        session?.end('out');
      } else {
        session?.end('out');
        await turn();
        t.same(said(), ['success', 'data out', 'eof']);
        session?.resume();
        channel.onEof();
      }
      await closed();
      t.same(said().slice(-2), ['exit-status 0', 'close']);
      t.same(ends(), ['COMPLETE']);
    });

  await t.test('no exit status for a peer that closes instead', async (t) => {
    const { channel, ask, said, ends, closed } = make(t, (session) => void session.resume().end('out'));
    ask('shell');
    await turn();
    channel.onPeerClose();
    await closed();
    t.same(said(), ['success', 'data out', 'eof', 'close']);
    t.same(ends(), ['PEER_CLOSED']);
  });

  await t.test('nor for a handler that fails in the last moment', async (t) => {
    const { channel, ask, said, ends, closed } = make(t, (session) => {
      session.on('finish', () => session.destroy(new Error('bang')));
      session.resume().on('end', () => session.end('out'));
    });
    ask('shell');
    await turn();
    channel.onEof();
    await closed();
    t.same(said(), ['success', 'data out', 'eof', 'close']);
    t.same(ends(), ['TARGET_ERROR: bang']);
  });

  await t.test('nor for a handler that destroys', async (t) => {
    const { ask, said, sessions, closed } = make(t, (session) => void session.end('out'));
    ask('shell');
    await turn();
    sessions[0]?.destroy();
    await closed();
    t.same(said(), ['success', 'data out', 'eof', 'close']);
  });

  await t.test('EOF waits for stderr', async (t) => {
    const { channel, ask, said, closed } = make(
      t,
      (session) => {
        session.stderr.write('12');
        session.stderr.write('34');
        session.resume().end();
      },
      { windowBytes: 1 },
    );
    channel.onEof();
    ask('shell');
    await turn();
    t.same(said(), ['success', 'stderr 1']);
    channel.onWindowAdjust(100);
    await closed();
    t.same(said(), ['stderr 2', 'stderr 34', 'eof', 'exit-status 0', 'close']);
  });
});

t.test('stdout and stderr go out as they were written, while the peer takes them', async (t) => {
  const { ask, said, sessions } = make(t, (session) => {
    session.write('1');
    session.stderr.write('2');
    session.write('3');
    session.stderr.write('4');
  });
  ask('shell');
  await turn();
  for (const [n, letter] of [...'abcd'].entries()) (n % 2 === 0 ? sessions[0] : sessions[0]?.stderr)?.write(letter);
  t.same(said(), ['success', 'data 1', 'stderr 2', 'data 3', 'stderr 4', 'data a', 'stderr b', 'data c', 'stderr d']);
});

t.test('stderr', async (t) => {
  await t.test('ends with the session, with an error for what was not sent and none for the process', async (t) => {
    const { channel, ask, sessions, closed } = make(t, () => {}, { windowBytes: 0 });
    ask('shell');
    await turn();
    const stderr = sessions[0]?.stderr;
    const failed = new Promise((resolve) => stderr?.write('blocked', resolve));
    const queued = new Promise((resolve) => stderr?.write('behind', resolve));
    channel.onConnectionLost();
    await closed();
    t.ok((await failed) instanceof Error);
    t.ok((await queued) instanceof Error);
    t.ok(stderr?.destroyed);
  });
  await t.test('ends with the session, also where nothing was ever written', async (t) => {
    const { channel, ask, sessions, closed } = make(t);
    ask('shell');
    await turn();
    channel.onPeerClose();
    await closed();
    t.ok(sessions[0]?.stderr.destroyed);
  });
  await t.test('destroyed with an error that nobody listens for', async (t) => {
    const { ask, said, sessions, closed } = make(t);
    ask('shell');
    await turn();
    sessions[0]?.stderr.destroy(new Error('bang'));
    await turn();
    sessions[0]?.write('goes on');
    sessions[0]?.exit(0);
    await closed();
    t.same(said(), ['success', 'data goes on', 'exit-status 0', 'eof', 'close']);
  });
  await t.test('backpressure of its own', async (t) => {
    const { channel, ask, sessions, said } = make(t, () => {}, { windowBytes: 10 });
    ask('shell');
    await turn();
    const stderr = sessions[0]?.stderr;
    t.equal(stderr?.write('x'.repeat(100_000)), false);
    let drained = false;
    stderr?.once('drain', () => {
      drained = true;
    });
    channel.onWindowAdjust(1000);
    await turn();
    t.notOk(drained);
    channel.onWindowAdjust(100_000);
    await until(() => drained, 'drain');
    t.equal(
      said()
        .slice(1)
        .reduce((sum, text) => sum + text.length - 'stderr '.length, 0),
      100_000,
    );
  });
});

t.test('pipeline() through a session', async (t) => {
  const { channel, ask, data, said, ends, closed } = make(t, async (session) => {
    const upper = new Transform({
      transform: (chunk: Buffer, _encoding, done) => done(null, chunk.toString().toUpperCase()),
    });
    await pipeline(session, upper, session);
  });
  ask('exec', 'tr a-z A-Z');
  data('hello ');
  await turn();
  data('world');
  channel.onEof();
  await closed();
  t.same(said(), ['success', 'data HELLO ', 'data WORLD', 'eof', 'exit-status 0', 'close']);
  t.same(ends(), ['COMPLETE']);
});

t.test('for await, then an exit', async (t) => {
  const { channel, ask, data, said, ends, closed } = make(t, async (session) => {
    let bytes = 0;
    for await (const chunk of session) bytes += Buffer.from(chunk).length;
    session.write(`${bytes}\n`);
    session.exit(bytes % 256);
  });
  ask('exec', 'wc -c');
  data('x'.repeat(1000));
  await turn();
  data('y'.repeat(1000));
  channel.onEof();
  await closed();
  t.same(said(), ['success', 'data 2000\n', `exit-status ${2000 % 256}`, 'eof', 'close']);
  t.same(ends(), ['COMPLETE']);
});

t.test('time: a session that rests for too long', async (t) => {
  const { ask, said, ends, closed } = make(t, () => {}, { timeouts: { idleChannelMs: 30 } });
  ask('shell');
  await closed();
  t.same(said(), ['success', 'close']);
  t.same(ends(), ['IDLE_TIMEOUT']);
});

t.test('at random: no order of events breaks a promise', async (t) => {
  const peerSays = [
    'exec',
    'shell',
    'subsystem',
    'pty-req',
    'signal',
    'data',
    'adjust',
    'eof',
    'close',
    'lost',
  ] as const;
  const handlerDoes = [
    ...(['write', 'stderr', 'cork', 'end', 'stderr end', 'exit', 'exitSignal', 'reject', 'destroy', 'fail'] as const),
    ...(['stderr destroy', 'throw', 'resume', 'pause', 'read', 'turn', 'microtask'] as const),
  ];
  const step = fc.oneof(fc.constantFrom(...peerSays), fc.constantFrom(...handlerDoes));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...handlerDoes), { maxLength: 4 }),
      fc.array(step, { maxLength: 25 }),
      async (atOnce, steps) => {
        const wrong: string[] = [];
        const act = (session: Session, what: (typeof handlerDoes)[number]): void => {
          switch (what) {
            case 'write':
              if (!session.writableEnded) session.write('o'.repeat(7));
              break;
            case 'stderr':
              if (!session.stderr.writableEnded) session.stderr.write('e'.repeat(7));
              break;
            case 'cork':
              if (session.writableEnded) break;
              session.cork();
              process.nextTick(() => session.uncork());
              break;
            case 'end':
              session.end();
              break;
            case 'stderr end':
              session.stderr.end();
              break;
            case 'stderr destroy':
              session.stderr.destroy();
              break;
            case 'exit':
              session.exit(3);
              break;
            case 'exitSignal':
              session.exitSignal('TERM');
              break;
            case 'reject':
              session.reject('no');
              break;
            case 'destroy':
              session.destroy();
              break;
            case 'fail':
              session.destroy(new Error('bang'));
              break;
            case 'resume':
              session.resume();
              break;
            case 'pause':
              session.pause();
              break;
            case 'read':
              session.read();
              break;
            case 'throw':
              session.onSignal(() => {
                throw new Error('bang');
              });
              break;
            default: // turns are the test's
          }
        };
        const made = make(
          { fail: (what) => wrong.push(what) },
          (session) => {
            for (const what of atOnce) act(session, what);
            if (atOnce.at(-1) === 'throw') throw new Error('bang');
          },
          { windowBytes: 20 },
        );
        const { channel, ask, data, table, sessions, ends } = made;
        const all: string[] = [];
        let open = channel.receiveWindowBytes;
        let asked = 0;
        let eof = false;
        let gone = false;
        for (const what of steps) {
          const session = sessions.at(-1);
          switch (what) {
            case 'exec':
            case 'shell':
            case 'subsystem':
              asked++;
              ask(what, 'sftp');
              break;
            case 'pty-req':
              asked++;
              ask(what, ...PTY);
              break;
            case 'signal':
              asked++;
              ask(what, 'INT');
              break;
            case 'data':
              if (eof || gone || open < 1000) break;
              open -= 1000;
              data('x'.repeat(1000));
              break;
            case 'adjust':
              channel.onWindowAdjust(10);
              break;
            case 'eof':
              eof = true;
              channel.onEof();
              break;
            case 'close':
              gone = true;
              channel.onPeerClose();
              break;
            case 'lost':
              gone = true;
              channel.onConnectionLost();
              break;
            case 'turn':
              await turn();
              break;
            case 'microtask':
              await Promise.resolve();
              break;
            default:
              if (session !== undefined) act(session, what);
          }
          for (const said of made.said()) {
            if (said.startsWith('adjust ')) open += Number(said.slice(7));
            all.push(said);
          }
        }
        // The end: the reader reads, the peer takes everything, then goes.
        for (const session of sessions) session.resume().end();
        channel.onWindowAdjust(100_000);
        await turn();
        channel.onEof();
        await turn();
        await turn();
        all.push(...made.said());
        const agreed = all.includes('close');
        channel.onPeerClose();
        channel.onConnectionLost();
        await turn();
        all.push(...made.said());
        const count = (word: string): number => all.filter((said) => said.startsWith(word)).length;
        const check = (holds: boolean, what: string): void => {
          if (!holds) wrong.push(what);
        };
        check(ends().length === 1, `ends: ${ends().join()}`);
        check(
          sessions.every((session) => made.heard.length > 0 && session.destroyed),
          'a session that never closed',
        );
        check(count('close') <= 1 && (count('close') === 0 || all.at(-1) === 'close'), 'something behind CLOSE');
        check(count('eof') <= 1 && count('exit-') <= 1, 'told twice');
        check(
          all.indexOf('eof') < 0 || !all.slice(all.indexOf('eof')).some((said) => /^(data|stderr)/.test(said)),
          'data behind EOF',
        );
        check(count('success') + count('failure') <= asked, 'more answers than questions');
        check(sessions.length <= 1 || count('failure') > 0, 'a second session');
        const running =
          count('success') > 0 && sessions.some((session) => session.readableEnded && session.writableFinished);
        if (agreed && !gone && running && ends()[0] === 'COMPLETE') check(count('exit-') === 1, 'no exit status');
        if (!steps.includes('lost')) check(table.size === 0, 'the number is not free');
        if (wrong.length > 0) throw new Error(`${wrong.join('; ')} in ${all.join(', ')}`);
      },
    ),
    { numRuns: 500 },
  );
  t.pass('held');
});
