/** HOOK NAMES: what JavaScript would let pass. The compiler of this test would not, hence the objects made by hand. */
import { once } from 'node:events';
import t from 'tap';
import { TunnelServer } from '../../src/index.js';
import { hookMistakes } from '../../src/library/hook_names.js';
import { tempDir } from '../support/temp.js';

t.test('a name that comes close to a hook is told, others are not', async (t) => {
  class Misspelt extends TunnelServer {
    check_auth_password(): boolean {
      return true;
    }
    checkDirct(): boolean {
      return false;
    }
    override checkDial(): boolean {
      return false;
    }
    lookUp(): void {}
    _pool = 1;
    users = new Map();
  }
  const { errors, warnings } = hookMistakes(new Misspelt());
  t.same(errors, []);
  t.match(warnings.toSorted(), [
    'checkDirct is no hook and is never asked (did you mean checkDirect?)',
    'check_auth_password is no hook and is never asked (did you mean checkAuthPassword?)',
  ]);
  t.equal(warnings.length, 2);
  t.same(hookMistakes(new TunnelServer()), { errors: [], warnings: [] });
});

t.test('a server whose hook is no method does not start, and a misspelt one says so', async (t) => {
  const quiet = { listen: ['127.0.0.1:0'], stateDir: `${tempDir(t)}/state`, log: { level: 'silent' } } as const;
  const wrong = Object.assign(new TunnelServer(quiet), { limits: 3 });
  await t.rejects(wrong.listen(), { code: 'HANDLER_INVALID', message: 'limits: is a number, allowed: a method' });
  const warned = once(process, 'warning');
  const misspelt = Object.assign(new TunnelServer(quiet), { CheckAuthPassword: () => true });
  await misspelt.listen();
  t.teardown(() => misspelt.close());
  t.match(await warned, [{ name: 'SallyportWarning', message: /^CheckAuthPassword is no hook/ }]);
});
