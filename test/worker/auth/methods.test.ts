import t from 'tap';
import { AUTH_METHODS, type MethodChains, readChains } from '../../../src/worker/auth/methods.js';

function chainsOf(list: readonly unknown[]): MethodChains {
  const chains = readChains(list);
  if (chains === null) throw new Error(`no chains: ${JSON.stringify(list)}`);
  return chains;
}

t.test('single methods: each is a login, offered once and in our order', async (t) => {
  for (const method of AUTH_METHODS) {
    const chains = chainsOf(['keyboard-interactive', 'password', 'publickey', 'password']);
    t.strictSame(chains.open, ['publickey', 'password', 'keyboard-interactive']);
    t.equal(chains.passed(method), true, method);
  }
  const none = chainsOf([]);
  t.strictSame(none.open, []);
  t.equal(none.passed('password'), false, 'nothing is a login where nothing is allowed');
});

t.test('a chain: one after the other, in its order', async (t) => {
  const chains = chainsOf(['publickey,password,keyboard-interactive']);
  for (const [method, complete] of [
    ['publickey', false],
    ['password', false],
    ['keyboard-interactive', true],
  ] as const) {
    t.strictSame(chains.open, [method], 'only the next one may be tried');
    t.equal(chains.passed(method), complete);
  }
});

t.test('several chains: a success goes on with those that begin with it, and closes the others', async (t) => {
  const shared = chainsOf(['publickey,password', 'publickey,keyboard-interactive', 'password,publickey']);
  t.strictSame(shared.open, ['publickey', 'password']);
  t.equal(shared.passed('publickey'), false);
  t.strictSame(shared.open, ['password', 'keyboard-interactive']);
  t.equal(shared.passed('password'), true, 'publickey,password; the other order would not be done');

  const other = chainsOf(['publickey,password', 'password,keyboard-interactive']);
  t.equal(other.passed('password'), false);
  t.strictSame(other.open, ['keyboard-interactive'], 'what was shown for one chain helps no other one along');
  t.equal(other.passed('keyboard-interactive'), true);

  const short = chainsOf(['publickey,password', 'keyboard-interactive']);
  short.passed('publickey');
  t.strictSame(short.open, ['password'], 'the short way is closed');

  const both = chainsOf(['publickey,password', 'publickey']);
  t.equal(both.passed('publickey'), true, 'the shorter of two that begin alike');
});

t.test('a method that is not open closes everything', async (t) => {
  const chains = chainsOf(['publickey,password']);
  t.equal(chains.passed('password'), false);
  t.strictSame(chains.open, []);
});

t.test('what is no list of chains is none at all: what is left out would make a login easier', async (t) => {
  for (const list of [undefined, null, 'publickey', { 0: 'publickey' }, 7, new Set(['publickey'])])
    t.equal(readChains(list), null, JSON.stringify(list));
  for (const chain of [
    'hostbased',
    'none',
    'publickey,hostbased',
    '',
    ',',
    'publickey,',
    ',publickey',
    'publickey, password',
    ' publickey',
    'PublicKey',
    'publickey password',
    'publickey,publickey',
    'publickey,password,publickey',
    7,
    null,
    undefined,
    ['publickey'],
    { toString: () => 'publickey' },
  ]) {
    t.equal(readChains([chain]), null, JSON.stringify(chain));
    t.equal(readChains(['password', chain]), null, 'nor beside a good one');
  }
});
