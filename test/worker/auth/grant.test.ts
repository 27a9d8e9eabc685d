import t from 'tap';
import { GRANT, type Grant, type GrantedIdentity, grantOf, withGrant } from '../../../src/worker/auth/grant.js';

const narrowing = (where: string) =>
  ({ kind: 'key', portForwarding: false, permitOpen: null, permitListen: null, where }) as const;

t.test('grants add up, and the earliest expiry holds', async (t) => {
  const first: Grant = { narrowings: [narrowing('keys:1')], expiresAtMs: null };
  const second: Grant = { narrowings: [narrowing('hook')], expiresAtMs: 5 };
  const once = withGrant({ user: 'alice' }, first);
  const twice = withGrant(withGrant(once, second), { narrowings: [], expiresAtMs: 7 });
  t.same(grantOf({ user: 'alice' } satisfies GrantedIdentity), { narrowings: [], expiresAtMs: null });
  t.same(grantOf(once), first);
  t.same(grantOf(twice), { narrowings: [narrowing('keys:1'), narrowing('hook')], expiresAtMs: 5 });
  t.equal(twice.user, 'alice');
});

t.test('an identity that is made of another keeps its grant, and a log does not show it', async (t) => {
  const identity = withGrant({ user: 'alice', team: 'a' }, { narrowings: [narrowing('keys:1')], expiresAtMs: null });
  const own: GrantedIdentity = { ...identity, user: 'bob' };
  t.same(own[GRANT], identity[GRANT]);
  t.equal(JSON.stringify(identity), '{"user":"alice","team":"a"}');
});
