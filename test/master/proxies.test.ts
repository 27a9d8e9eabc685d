import t from 'tap';
import { Proxies, unclearProxies } from '../../src/master/proxies.js';

const at = (name: string, address = '0.0.0.0', port = 22): { name: string; address: string; port: number } => ({
  name,
  address,
  port,
});

t.test('a proxy is one where its listener says so, and nowhere else', async (t) => {
  const proxies = new Proxies([
    { address: '0.0.0.0:2222', proxyFrom: ['10.0.0.0/8', '2001:db8::7'] },
    { address: '0.0.0.0:2223', proxyFrom: [] },
  ]);
  const here = at('0.0.0.0:2222');
  for (const address of ['10.1.2.3', '2001:db8::7']) t.ok(proxies.has(address, here), address);
  for (const address of ['11.0.0.1', '2001:db8::8', '::', 'nonsense']) t.notOk(proxies.has(address, here), address);
  t.notOk(proxies.has('10.1.2.3', at('0.0.0.0:2223')));
});

t.test('an inherited socket is known by its address, then by its port, and else has no proxies', async (t) => {
  const proxies = new Proxies([
    { address: '0.0.0.0:2222', proxyFrom: ['10.0.0.1'] },
    { address: '127.0.0.1:2222', proxyFrom: ['10.0.0.2'] },
  ]);
  t.ok(proxies.has('10.0.0.2', at('file descriptor 3', '127.0.0.1', 2222)));
  t.notOk(proxies.has('10.0.0.1', at('file descriptor 4', '0.0.0.0', 2223)));
});

t.test('by its port only where all entries with that port have the same proxies', async (t) => {
  const inherited = at('file descriptor 3', '::', 2222);
  const of = (...from: (readonly string[])[]): Proxies =>
    new Proxies(from.map((proxyFrom, index) => ({ address: `10.9.9.${index}:2222`, proxyFrom })));
  for (const proxies of [of(['10.0.0.1']), of(['10.0.0.1'], ['10.0.0.1'])]) {
    t.ok(proxies.has('10.0.0.1', inherited), 'systemd binds both families by one socket');
    t.notOk(proxies.isUnclear(inherited));
  }
  for (const proxies of [of(['10.0.0.1'], ['10.0.0.2']), of(['10.0.0.1'], []), of([], ['10.0.0.1'])]) {
    t.notOk(proxies.has('10.0.0.1', inherited));
    t.ok(proxies.isUnclear(inherited));
  }
  t.notOk(of(['10.0.0.1']).isUnclear(at('file descriptor 3', '::', 2223)));
  const listen = [
    { address: '10.9.9.1:2222', proxyFrom: ['10.0.0.1'] },
    { address: '10.9.9.2:2222', proxyFrom: [] },
  ];
  t.match(unclearProxies(listen, [inherited, at('file descriptor 4', '10.9.9.1', 2222)]), [
    /^file descriptor 3: nobody is a proxy here\. .* port 2222 none has the address ::, /,
  ]);
  t.equal(unclearProxies(listen, [at('file descriptor 4', '10.9.9.1', 2222)]).length, 0);
});
