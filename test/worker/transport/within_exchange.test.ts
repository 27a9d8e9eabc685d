import t from 'tap';
import { MSG } from '../../../src/shared/protocol.js';
import { softwareOf } from '../../../src/worker/transport/ident.js';
import { isCareless, type Within, within } from '../../../src/worker/transport/within_exchange.js';

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
    t.equal(isCareless(softwareOf(line)), true, line);
  for (const line of ['SSH-2.0-AsyncSSH_2.10.10\r\n', 'SSH-2.0-OpenSSH_9.2 AsyncSSH_2.10.1\r\n', ''])
    t.equal(isCareless(softwareOf(line)), false, line);
});

t.test(
  'RFC 4253 §4.2: what a peer says that it is, comments too, whatever its version of SSH and the end of the line',
  async (t) => {
    for (const line of ['SSH-2.0-TeraTerm SSH 1', 'SSH-1.99-TeraTerm SSH 1\r\n', 'SSH-2.0-TeraTerm SSH 1\n'])
      t.equal(softwareOf(line), 'TeraTerm SSH 1');
    t.equal(softwareOf('SSH-2.0-lib-ssh-2\r\n'), 'lib-ssh-2');
  },
);
