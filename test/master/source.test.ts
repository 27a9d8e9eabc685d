import t from 'tap';
import { SourceRules } from '../../src/master/source.js';

t.test('an IPv4 address is a source, and so is a /64 of IPv6', async (t) => {
  const rules = new SourceRules([]);
  const table: ReadonlyArray<readonly [address: string, source: string]> = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::', '2001:db8:1:3::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['::1', '::/64'],
    ['64:ff9b::192.0.2.1', '192.0.2.1'], // NAT64: all of IPv4 is behind one /64
    ['somewhere', 'somewhere'],
  ];
  for (const [address, source] of table) t.same(rules.sourceOf(address), { name: source, exempt: false }, address);
});

t.test('who is exempt, in every spelling', async (t) => {
  const rules = new SourceRules(['127.0.0.0/8', '::1', '10.1.0.0/16', '2001:db8::/32', '192.0.2.7']);
  const exempt = ['127.0.0.1', '127.255.0.1', '::1', '10.1.2.3', '2001:db8:ffff::1', '192.0.2.7', '::ffff:192.0.2.7'];
  for (const address of exempt) t.equal(rules.sourceOf(address).exempt, true, address);
  const others = ['128.0.0.1', '::2', '10.2.0.1', '2001:db9::1', '192.0.2.8', 'somewhere'];
  for (const address of others) t.equal(rules.sourceOf(address).exempt, false, address);
  t.equal(rules.sourceOf('64:ff9b::10.1.2.3').exempt, true, 'behind NAT64, as the host');
  t.equal(new SourceRules(['64:ff9b::/96']).sourceOf('64:ff9b::10.1.2.3').exempt, true, 'and as written');
});
