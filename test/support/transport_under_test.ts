/** TRANSPORT UNDER TEST: one Transport behind a listener, with a clock of the test's and everything that it told.
 *  Owns the listener and the connection until the test ends. */

import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { Test } from 'tap';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { CIPHERS, KEX_ALGORITHMS, MACS } from '../../src/shared/algorithms.js';
import { takeHandle } from '../../src/shared/handles.js';
import { SIGNATURE_ALGORITHMS } from '../../src/worker/auth/signature.js';
import type { Account } from '../../src/worker/memory.js';
import { makeOffer } from '../../src/worker/transport/algorithms.js';
import { Buffers } from '../../src/worker/transport/buffers.js';
import { parseHostKeys } from '../../src/worker/transport/host_key.js';
import type { RekeyLimits } from '../../src/worker/transport/key_age.js';
import { loadMlKem } from '../../src/worker/transport/ml_kem.js';
import { SocketReader } from '../../src/worker/transport/reader.js';
import { loadSsh2 } from '../../src/worker/transport/ssh2.js';
import { Transport } from '../../src/worker/transport/transport.js';
import { plenty } from './account.js';
import { deferred, within } from './deadline.js';
import { type RawClient, type RawClientOptions, rawClient } from './raw_client.js';

/** What a server offers whose config says nothing of it, and the MACs over plain text. */
const OFFERED = { kex: KEX_ALGORITHMS, ciphers: CIPHERS, macs: MACS };

export interface TransportUnderTest {
  readonly transport: Transport;
  /** The server's side of the connection. */
  readonly socket: Socket;
  readonly client: RawClient;
  readonly buffers: Buffers;
  readonly account: Account;
  readonly clock: { nowMs: number };
  readonly payloads: Buffer[];
  /** How often `onWritable` was called. */
  readonly writableCalls: () => number;
  /** How many reads were parsed. */
  readonly reads: () => number;
  /** Resolves with the close reason. */
  readonly closed: () => Promise<string>;
}

/** Keys are agreed when it resolves, and the peer counts as logged in. */
export async function startTransport(
  t: Test,
  options: {
    readonly rekey?: Partial<RekeyLimits>;
    readonly kexTimeoutMs?: number;
    readonly client?: RawClientOptions;
  } = {},
): Promise<TransportUnderTest> {
  const ssh2 = loadSsh2();
  const mlKem = await loadMlKem();
  const hostKeys = parseHostKeys(ssh2, [{ path: 'test', pem: newKeyPair('ed25519', 'test').privateKey }]);
  const buffers = new Buffers();
  const account = plenty();
  const clock = { nowMs: 1_000_000 };
  const payloads: Buffer[] = [];
  let writableCalls = 0;
  let reads = 0;
  const closed = deferred<string>();
  const started = deferred<{ transport: Transport; socket: Socket }>();
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (accepted) => {
    const handle = takeHandle(accepted);
    if (handle === undefined) return;
    let line = Buffer.alloc(0);
    const reader = new SocketReader(handle, buffers, (bytes) => {
      line = Buffer.concat([line, bytes]);
      const end = line.indexOf('\n') + 1;
      if (end === 0) return true;
      const transport = new Transport(
        reader,
        account,
        {
          ssh2,
          hostKeys,
          buffers,
          userSignatureAlgorithms: SIGNATURE_ALGORITHMS,
          offer: makeOffer(ssh2, { ...OFFERED, hostKeys: hostKeys.algorithms }),
          kex: OFFERED.kex,
          mlKem,
          rekey: { bytes: 2 ** 30, packets: 2 ** 31, timeMs: 3_600_000, ...options.rekey },
          firstKexTimeoutMs: 20_000,
          kexTimeoutMs: options.kexTimeoutMs ?? 20_000,
          now: () => clock.nowMs,
        },
        {
          onReady() {
            reader.allowLarge();
            transport.setAuthenticated();
            started.resolve({ transport, socket: reader.socket });
          },
          onPayload: (payload) => void payloads.push(Buffer.from(payload)),
          onReadEnd() {
            reads++;
          },
          onWritable() {
            writableCalls++;
          },
          onClose: (reason) => closed.resolve(reason),
        },
      );
      transport.start(line.subarray(0, end), line.subarray(end));
      return true;
    });
    reader.socket.on('error', () => {});
    reader.socket.write('SSH-2.0-Sallyport\r\n');
    t.teardown(() => reader.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const client = rawClient(t, { host: '127.0.0.1', port }, options.client);
  await client.ready;
  const { transport, socket } = await within(started.promise, 'end of the key exchange');
  return {
    transport,
    socket,
    client,
    buffers,
    account,
    clock,
    payloads,
    writableCalls: () => writableCalls,
    reads: () => reads,
    closed: () => within(closed.promise, 'close of the transport'),
  };
}
