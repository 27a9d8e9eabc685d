/** KEX PHASE: before there are keys. Idents and plain packets over real sockets, into a whole Endpoint. What comes back must be
 *  what RFC 4253 lets a server say: its ident, packets that are well formed, and at most one DISCONNECT, at the end.
 *  Owns a socket for the time of a case. */
import { connect } from 'node:net';
import { MSG } from '../../src/shared/protocol.js';
import { within } from '../support/deadline.js';
import { kexScript } from './kex_shapes.js';
import type { CaseResult, Phase, Tell } from './phase.js';
import { Random, seedOf } from './random.js';
import { described } from './script.js';
import { FAIR_DISCONNECTS, Served } from './served.js';

const IDENT = 'SSH-2.0-Sallyport\r\n';
const REFUSAL = 'Invalid SSH identification string.\r\n';
const KEXDH_REPLY = 31;
const EXCHANGE = new Set<number>([MSG.KEXINIT, KEXDH_REPLY, MSG.NEWKEYS]);

export class KexPhase implements Phase {
  readonly name = 'kex';
  readonly concurrency = 8;
  readonly #served: Served;

  constructor(served: Served) {
    this.#served = served;
  }

  static async start(): Promise<KexPhase> {
    return new KexPhase(await Served.start());
  }

  async run(seed: number, index: number, tell: Tell | null): Promise<CaseResult> {
    const random = new Random(seedOf(seed, this.name, index));
    const { ident, packets } = kexScript(random);
    tell?.(`ident: ${JSON.stringify(ident.toString('latin1'))}`);
    for (const packet of packets) tell?.(described(packet));
    const { host, port } = this.#served.at;
    const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
    const heard: Buffer[] = [];
    const closing = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {}); // a reset, where the server did not read everything
    socket.on('data', (chunk: Buffer) => heard.push(chunk));
    socket.on('end', () => socket.end());
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()).once('close', () => resolve()));
    const mine = socket.localPort;
    const bytes = Buffer.concat([ident, ...packets.map(({ payload }) => payload)]);
    const cut = random.below(bytes.length + 1);
    socket.write(bytes.subarray(0, cut));
    socket.end(bytes.subarray(cut));
    await within(closing, 'end of the connection');
    const faults = replyFaults(Buffer.concat(heard));
    const end = await this.#served.endOf(mine);
    return {
      packets: packets.length,
      mutated: packets.filter(({ mutated }) => mutated).length,
      faults: end === null ? faults : [...faults, end],
    };
  }

  check(): Promise<readonly string[]> {
    return this.#served.check();
  }
  close(): Promise<readonly string[]> {
    return this.#served.close();
  }
}

/** What is wrong with what the server said. A reset may have cut it anywhere. */
function replyFaults(heard: Buffer): string[] {
  const text = heard.toString('latin1');
  if (!text.startsWith(IDENT)) return IDENT.startsWith(text) ? [] : [`no ident: ${JSON.stringify(text.slice(0, 80))}`];
  if (text.slice(IDENT.length) === REFUSAL) return [];
  const faults: string[] = [];
  let at = IDENT.length;
  let isOver = false;
  while (at + 5 <= heard.length) {
    const length = heard.readUInt32BE(at);
    const padding = heard.readUInt8(at + 4);
    const end = at + 4 + length;
    if ((length + 4) % 8 !== 0 || padding < 4 || padding > length - 2) return [...faults, 'a packet that is none'];
    if (end > heard.length) return faults;
    const type = heard.readUInt8(at + 5);
    if (isOver) faults.push(`message ${type} behind DISCONNECT`);
    if (type === MSG.DISCONNECT) {
      isOver = true;
      const reason = heard.readUInt32BE(at + 6);
      if (!FAIR_DISCONNECTS.has(reason)) faults.push(`DISCONNECT ${reason}`);
    } else if (!EXCHANGE.has(type)) faults.push(`message ${type} in a key exchange`);
    if (type === MSG.NEWKEYS) return faults; // sealed from here on
    at = end;
  }
  return faults;
}
