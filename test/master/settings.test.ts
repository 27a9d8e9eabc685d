import t from 'tap';
import { cannotChange, changedKeys } from '../../src/master/settings.js';
import { testConfig } from '../support/test_config.js';

t.test('the keys that changed are named, users by name', async (t) => {
  const before = testConfig({
    users: { alice: { permitOpen: ['*:80'] }, bob: {}, carol: {} },
    limits: { connections: 100 },
  });
  const after = testConfig({
    users: { alice: { permitOpen: ['*:443'] }, carol: {}, dave: {} },
    limits: { connections: 200 },
    noShell: 'no',
  });
  t.same(changedKeys(before, before), []);
  t.same(new Set(changedKeys(before, after)), new Set(['limits', 'noShell', 'users.alice', 'users.bob', 'users.dave']));
});

t.test('names that every object has are users like any other', async (t) => {
  const users = new Map([
    ['__proto__', {}],
    ['constructor', {}],
  ]);
  const whole = testConfig({ users });
  t.same(changedKeys(whole, testConfig({ users: new Map([['constructor', {}]]) })), ['users.__proto__']);
});

t.test('the folder of the state stays; everything else may change', async (t) => {
  const before = testConfig({ stateDir: '/a' });
  t.same(cannotChange(before, testConfig({ stateDir: '/a', workers: 7, listen: ['127.0.0.1:9'] })), []);
  t.match(cannotChange(before, testConfig({ stateDir: '/b' })), [/^stateDir: is \/a in the running server/]);
});
