import t from 'tap';
import { penaltyFor, triedHalf, triedWith } from '../../../src/worker/auth/penalty.js';

t.test('what a connection has deserved', async (t) => {
  const table = [
    ['PEER_CLOSED', 'NOTHING', 'NO_AUTH'],
    ['PEER_DISCONNECTED', 'NOTHING', 'NO_AUTH'],
    ['IDENT_INVALID', 'NOTHING', 'NO_AUTH'],
    ['KEX_FAILED', 'NOTHING', 'NO_AUTH'],
    ['PEER_CLOSED', 'FAILED', 'AUTH_FAIL'],
    ['AUTH_EXHAUSTED', 'FAILED', 'AUTH_FAIL'],
    ['PEER_DISCONNECTED', 'UNDECIDED', undefined],
    ['AUTH_EXHAUSTED', 'UNDECIDED', undefined],
    ['PEER_CLOSED', 'HALF_WAY', 'AUTH_FAIL'],
    ['PEER_DISCONNECTED', 'HALF_WAY', 'AUTH_FAIL'],
    ['LOGIN_TIMEOUT', 'HALF_WAY', 'GRACE_EXCEEDED'],
    ['DRAINED', 'HALF_WAY', undefined],
    ['IDENT_TIMEOUT', 'NOTHING', 'GRACE_EXCEEDED'],
    ['KEX_TIMEOUT', 'NOTHING', 'GRACE_EXCEEDED'],
    ['LOGIN_TIMEOUT', 'FAILED', 'GRACE_EXCEEDED'],
    ['LOGIN_TIMEOUT', 'UNDECIDED', undefined],
    ['PROTOCOL_ERROR', 'NOTHING', 'AUTH_FAIL'],
    ['INTERNAL_ERROR', 'NOTHING', 'AUTH_FAIL'],
    ['DRAINED', 'FAILED', undefined],
    ['KILLED', 'FAILED', undefined],
    ['REVOKED', 'NOTHING', undefined],
    ['HOOK_FAILED', 'FAILED', undefined],
  ] as const;
  for (const [end, tried, penalty] of table) t.equal(penaltyFor(end, tried), penalty, `${end} ${tried}`);
});

t.test('a method that has succeeded is a try, and makes no other one good', async (t) => {
  t.strictSame((['NOTHING', 'UNDECIDED', 'HALF_WAY', 'FAILED'] as const).map(triedHalf), [
    'HALF_WAY',
    'HALF_WAY',
    'HALF_WAY',
    'FAILED',
  ]);
  t.equal(triedWith('HALF_WAY', 'CODE_WRONG'), 'FAILED');
});

t.test('a check that could not be made is not held against the peer', async (t) => {
  for (const code of ['POOL_BUSY', 'HOOK_FAILED', 'HOOK_TIMEOUT', 'WEBHOOK_FAILED', 'SETTINGS_CHANGED'] as const) {
    t.equal(triedWith('NOTHING', code), 'UNDECIDED', code);
    t.equal(triedWith('HALF_WAY', code), 'UNDECIDED', code);
    t.equal(triedWith('FAILED', code), 'FAILED', code);
  }
  for (const code of [
    'UNKNOWN_USER',
    'WRONG_PASSWORD',
    'KEY_NOT_ACCEPTED',
    'KEY_EXPIRED',
    'METHOD_NOT_ALLOWED',
  ] as const)
    t.equal(triedWith('UNDECIDED', code), 'FAILED', code);
});
