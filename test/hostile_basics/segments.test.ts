/** SEGMENTS: TCP may cut a stream anywhere. OpenSSH's client, whose stream arrives in tiny and odd pieces, moves bytes both
 *  ways with each kind of cipher, with key exchanges in between. */
import t from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { need } from '../support/programs.js';
import { pieceSizes, startSegmenter } from '../support/segmenter.js';
import { makeLogin } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

for (const [seed, cipher] of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr'].entries())
  t.test(`${cipher}, seed ${seed}`, { timeout: 100_000 }, async (t) => {
    if (!need(t, ['ssh', 'ssh-keygen'])) return;
    const server = await startEndpoint(t);
    const alice = await makeLogin(t, tempDir(t), 'alice');
    const echo = await startEcho(t);
    const segmenter = await startSegmenter(t, server, pieceSizes(seed));
    const near = await freePort();
    const specs = ['-c', cipher, '-o', 'RekeyLimit=2M', '-L', `${near}:127.0.0.1:${echo.port}`];
    const { client } = await tunnel(t, segmenter, alice, specs);
    const { sent, received } = await exchange(await connect(t, near), cipher, 5 * MIB);
    t.same(received, sent);
    t.ok(segmenter.pieces() > 500, `${segmenter.pieces()} pieces`);
    t.match(client.stderr, `kex: client->server cipher: ${cipher}`);
  });
