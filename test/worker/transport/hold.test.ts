import t from 'tap';
import { MSG } from '../../../src/shared/protocol.js';
import { Hold, isCareless, type Within, within } from '../../../src/worker/transport/hold.js';
import { plenty } from '../../support/account.js';

t.test('RFC 4253 §7.1: what a peer may say behind its KEXINIT', async (t) => {
  const expected = (type: number): Within => {
    if (type === MSG.DISCONNECT) return 'disconnect';
    if ([MSG.IGNORE, MSG.UNIMPLEMENTED, MSG.DEBUG, MSG.EXT_INFO].some((allowed) => allowed === type)) return 'ignored';
    return type === MSG.NEWKEYS || (type >= 30 && type <= 49) ? 'exchange' : 'forbidden';
  };
  for (let type = 0; type < 256; type++) {
    t.equal(within(type, false), expected(type), `${type}`);
    const isOrdinary = type >= MSG.GLOBAL_REQUEST && type <= 127;
    t.equal(within(type, true), isOrdinary ? 'ordinary' : expected(type), `${type} of a careless one`);
  }
  t.equal(within(undefined, false), 'ignored');
});

t.test('who is careless is known by its name alone', async (t) => {
  for (const line of ['SSH-2.0-AsyncSSH_2.10.1\r\n', 'SSH-2.0-AsyncSSH_2.10.1\n', 'SSH-2.0-AsyncSSH_2.10.1 mine\r\n'])
    t.equal(isCareless(line), true, line);
  for (const line of ['SSH-2.0-AsyncSSH_2.10.10\r\n', 'SSH-2.0-OpenSSH_9.2 AsyncSSH_2.10.1\r\n', ''])
    t.equal(isCareless(line), false, line);
});

t.test('what waits is kept as it was, in order, and counted while it waits', async (t) => {
  const account = plenty();
  const hold = new Hold(account);
  const source = Buffer.from('first');
  hold.keep(source);
  source.fill(0);
  hold.keep(Buffer.from('second'));
  t.ok(hold.bytes > 11, 'with what an object costs');
  t.equal(account.bytes, hold.bytes);
  t.same(hold.release().map(String), ['first', 'second']);
  t.same([hold.bytes, account.bytes, hold.release().length], [0, 0, 0]);
});
