import t from 'tap';
import { isToPrimary, isToWorker } from '../../src/shared/ipc.js';

t.test('only messages of ours pass, with the fields that we count with', async (t) => {
  const toPrimary: ReadonlyArray<readonly [unknown, boolean]> = [
    [{ type: 'accepted', id: 1 }, true],
    [{ type: 'accepted', id: '1' }, false],
    [{ type: 'accepted' }, false],
    [{ type: 'closed', id: 1 }, true],
    [{ type: 'closed', id: 1, penalty: 'AUTH_FAIL' }, true],
    [{ type: 'closed', id: 1, penalty: 'authFail' }, false],
    [{ type: 'closed', id: 1, penalty: null }, false],
    [{ type: 'events', events: [{ event: 'auth.failed' }], lost: 0 }, true],
    [{ type: 'events', events: null, lost: 0 }, false],
    [{ type: 'events', events: {}, lost: 0 }, false],
    [{ type: 'events', events: [null], lost: 0 }, false],
    [{ type: 'load', load: 7 }, false],
    [{ type: 'want', ask: 1, user: 'a', bytesPerSecond: 1, upBytes: 1, downBytes: 0 }, true],
    [{ type: 'code', ask: 1, user: 'a', key: 'k', step: 1 }, true],
    [{ type: 'code', ask: 1, user: 'a', key: 'k', step: null }, true],
    [{ type: 'code', ask: 1, user: 'a', key: 'k', step: '1' }, false],
    [{ type: 'code', ask: 1, user: 'a', key: 'k', step: 0.5 }, false],
    [{ type: 'code', ask: 1, user: 'a', key: 'k' }, false],
    [{ type: 'want', ask: 1, user: 'a', bytesPerSecond: null, upBytes: 1, downBytes: 0 }, false],
    [{ type: 'want', ask: 1, bytesPerSecond: 1, upBytes: 1, downBytes: 0 }, false],
    [{ type: 'proxied', ask: 1, id: 2, client: null }, true],
    [{ type: 'proxied', ask: 1, id: 2, client: { address: '::1', port: 3 } }, true],
    [{ type: 'proxied', ask: 1, id: 2, client: { address: '::1', port: '3' } }, false],
    [{ type: 'proxied', ask: 1, id: 2, client: 'a' }, false],
    [{ type: 'proxied', ask: 1, id: 2 }, false],
    [{ type: 'ping' }, false], // the other direction
    [{ type: 'toString' }, false],
    [{ type: '__proto__' }, false],
    [{ type: 7 }, false],
    ['accepted', false],
    [null, false],
    [undefined, false],
    [[], false],
  ];
  for (const [message, passes] of toPrimary) t.equal(isToPrimary(message), passes, JSON.stringify(message));
  const toWorker: ReadonlyArray<readonly [unknown, boolean]> = [
    [{ type: 'ping' }, true],
    [{ type: 'revoke', id: 1 }, true],
    [{ type: 'drain', deadlineMs: 1 }, true],
    [{ type: 'drain' }, false],
    [{ type: 'grant', ask: 1, upBytes: 0, downBytes: 0 }, true],
    [{ type: 'grant', ask: 1, upBytes: 0 }, false],
    [{ type: 'accepted', id: 1 }, false],
  ];
  for (const [message, passes] of toWorker) t.equal(isToWorker(message), passes, JSON.stringify(message));
});
