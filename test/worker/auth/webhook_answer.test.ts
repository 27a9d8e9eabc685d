/** The answer of a login service, read strictly: what is said right counts to the letter, and anything else allows nobody. */
import fc from 'fast-check';
import t from 'tap';
import { parseAddress } from '../../../src/shared/address.js';
import { coversListen, coversOpen } from '../../../src/shared/patterns.js';
import { narrowerLimits, readWebhookAnswer, type UserLimits } from '../../../src/worker/auth/webhook_answer.js';

const read = (value: unknown) => readWebhookAnswer(JSON.stringify(value));

t.test('the shortest answers', async (t) => {
  const nothing = { user: null, permitOpen: null, permitListen: null, limits: {}, ttlMs: null, reason: null };
  t.same(read({ allow: true }), { ok: true, value: { allow: true, ...nothing } });
  t.same(read({ allow: false }), { ok: true, value: { allow: false, ...nothing } });
  t.same(readWebhookAnswer(' {\n"allow" : true }\r\n'), { ok: true, value: { allow: true, ...nothing } });
});

t.test('the longest one', async (t) => {
  const parsed = read({
    allow: true,
    user: 'team-a',
    permitOpen: ['10.0.0.0/8:5432', '*.internal:443'],
    permitListen: ['localhost:8000-8999'],
    limits: {
      connections: 2,
      channels: 0,
      forwards: 1,
      opensPerSecond: 5,
      failedOpensPerMinute: 0,
      bytesPerSecond: '1MiB',
      memory: '2MiB',
    },
    ttl: '8h',
    reason: 'night shift',
  });
  t.match(parsed, {
    ok: true,
    value: {
      allow: true,
      user: 'team-a',
      limits: {
        connections: 2,
        channels: 0,
        forwards: 1,
        opensPerSecond: 5,
        failedOpensPerMinute: 0,
        bytesPerSecond: 2 ** 20,
        memoryBytes: 2 ** 21,
      },
      ttlMs: 8 * 3_600_000,
      reason: 'night shift',
    },
  });
  if (!parsed.ok) return;
  const [inside, outside] = [parseAddress('10.1.2.3'), parseAddress('192.0.2.1')];
  if (inside === null || outside === null) throw new Error('addresses');
  t.equal(coversOpen(parsed.value.permitOpen ?? [], '10.1.2.3', inside, 5432), true);
  t.equal(coversOpen(parsed.value.permitOpen ?? [], '192.0.2.1', outside, 5432), false);
  t.equal(coversListen(parsed.value.permitListen ?? [], 'localhost', 8080), true);
  t.equal(coversListen(parsed.value.permitListen ?? [], '*', 8080), false);
});

t.test('times', async (t) => {
  for (const [ttl, ttlMs] of [
    [1, 1000],
    [3600, 3_600_000],
    ['1500ms', 1500],
    ['90s', 90_000],
    ['3650d', 3650 * 86_400_000],
  ] as const)
    t.match(read({ allow: true, ttl }), { ok: true, value: { ttlMs } }, String(ttl));
  for (const ttl of [0, -1, 1.5, 1e9, 1e300, '1', '999ms', '3651d', 'soon', '', true, [60], { s: 1 }])
    t.match(
      read({ allow: true, ttl }),
      { ok: false, error: /^answered with a bad ttl; wanted seconds as a whole number, or a text such as/ },
      JSON.stringify(ttl),
    );
});

t.test('what is none says exactly why', async (t) => {
  for (const [text, error] of [
    ['', 'answered no JSON'],
    ['hunter2', 'answered no JSON'],
    ['{"allow": true', 'answered no JSON'],
    ['{"allow": true}{"allow": true}', 'answered no JSON'],
    ['{allow: true}', 'answered no JSON'],
    ['\ufeff{"allow": true}', 'answered no JSON'],
    ['['.repeat(60_000), 'answered no JSON'],
    ['true', /^answered JSON that is a boolean; wanted an object/],
    ['null', /^answered JSON that is null/],
    ['[{"allow": true}]', /^answered JSON that is a list/],
    ['"allow"', /^answered JSON that is a text/],
    ['{}', 'answered with no allow; wanted true or false'],
    ['{"allow": "true"}', 'answered with an allow that is a text; wanted true or false'],
    ['{"allow": 1}', 'answered with an allow that is a number; wanted true or false'],
    ['{"allow": null}', 'answered with an allow that is null; wanted true or false'],
    ['{"allow": true, "permitopen": []}', 'answered with an unknown key "permitopen" (did you mean permitOpen?)'],
    ['{"allow": true, "admin": 1}', /^answered with an unknown key "admin"; known are allow, user,/],
    ['{"allow": true, "__proto__": {}}', /^answered with an unknown key "__proto__"/],
    ['{"allow": false, "allow": true}', 'answered with the key "allow" twice in one object'],
    ['{"allow": true, "\\u0061llow": true}', 'answered with the key "allow" twice in one object'],
    [
      '{"allow": true, "limits": {"channels": 1, "channels": 9}}',
      'answered with the key "channels" twice in one object',
    ],
    ['{"allow": true, "user": null}', 'answered with a user that is null; leave it out where it says nothing'],
    ['{"allow": true, "permitOpen": null}', /^answered with a permitOpen that is null/],
    ['{"allow": true, "user": ""}', /^answered with a user that is no text of 1 to 255 bytes/],
    ['{"allow": true, "user": "a\\u0007b"}', /^answered with a user that is no text/],
    ['{"allow": true, "user": 7}', /^answered with a user that is no text/],
    ['{"allow": true, "permitOpen": "*:*"}', 'answered with a permitOpen that is a text; wanted a list of patterns'],
    ['{"allow": true, "permitOpen": [5432]}', 'answered with a permitOpen[0] that is a number; wanted a text'],
    [
      '{"allow": true, "permitOpen": ["*:*", "db"]}',
      'answered with a bad permitOpen[1]: "db": no ports: write "db:*" or "db:443"',
    ],
    ['{"allow": true, "permitListen": ["10.0.0.0/8:*"]}', /^answered with a bad permitListen\[0\]: .* a CIDR/],
    ['{"allow": true, "limits": []}', 'answered with limits that are a list; wanted an object'],
    ['{"allow": true, "limits": {"channel": 1}}', 'answered with an unknown limit "channel" (did you mean channels?)'],
    ['{"allow": true, "limits": {"toString": 1}}', /^answered with an unknown limit "toString"; known are connections/],
    [
      '{"allow": true, "limits": {"channels": -1}}',
      'answered with a bad limits.channels: -1 is out of range, allowed: a whole number from 0 to 1000000',
    ],
    ['{"allow": true, "limits": {"channels": "5"}}', /^answered with a bad limits.channels: "5" is a text, allowed/],
    [
      '{"allow": true, "limits": {"bytesPerSecond": 5}}',
      /^answered with a bad limits.bytesPerSecond: 5 has no unit, allowed: 1KiB to 1TiB or off/,
    ],
    ['{"allow": true, "limits": {"memory": {}}}', /^answered with a bad limits.memory: is a map, allowed/],
    ['{"allow": true, "reason": ["because"]}', 'answered with a reason that is a list; wanted a text'],
    ['{"allow": false, "ttl": "soon"}', /^answered with a bad ttl/],
  ] as const)
    t.match(readWebhookAnswer(text), { ok: false, error }, text.slice(0, 60));
});

t.test('an error shows no value that could be a secret', async (t) => {
  for (const text of [
    'hunter2',
    '"hunter2"',
    '{"allow": "hunter2"}',
    '{"allow": true, "user": "hunter2\\n"}',
    '{"allow": true, "reason": {"a": "hunter2"}}',
    '{"allow": true, "ttl": "hunter2"}',
  ])
    t.notMatch(JSON.stringify(readWebhookAnswer(text)), /hunter2/, text);
});

const UNLIMITED: UserLimits = {
  connections: 10,
  channels: 1024,
  forwards: 16,
  opensPerSecond: 0,
  failedOpensPerMinute: 0,
  bytesPerSecond: 0,
  memoryBytes: 0,
};

t.test('limits: of each the smaller, and 0 of a rate is none', async (t) => {
  t.same(narrowerLimits(UNLIMITED, {}), UNLIMITED);
  t.same(narrowerLimits(UNLIMITED, { connections: 5, channels: 0, bytesPerSecond: 7, memoryBytes: 9 }), {
    ...UNLIMITED,
    connections: 5,
    channels: 0,
    bytesPerSecond: 7,
    memoryBytes: 9,
  });
  t.same(narrowerLimits(UNLIMITED, { connections: 50, forwards: 17 }), UNLIMITED, 'never wider');
  const limited = { ...UNLIMITED, opensPerSecond: 5, failedOpensPerMinute: 6, bytesPerSecond: 7, memoryBytes: 8 };
  t.same(
    narrowerLimits(limited, { opensPerSecond: 0, failedOpensPerMinute: 60, bytesPerSecond: 0, memoryBytes: 0 }),
    limited,
  );
});

t.test('at random: no exception, and nonsense never allows', async () => {
  const RUNS = { numRuns: 1_000 };
  const valid = fc.record(
    {
      allow: fc.boolean(),
      user: fc.constantFrom('a', 'team-b'),
      permitOpen: fc.array(fc.constantFrom('*:*', '10.0.0.0/8:22', '/run/*.sock')),
      permitListen: fc.array(fc.constantFrom('*:*', 'localhost:8000-8999')),
      limits: fc.record(
        {
          connections: fc.integer({ min: 1, max: 100_000 }),
          channels: fc.nat(1_000_000),
          bytesPerSecond: fc.constantFrom('off', '1MiB'),
        },
        { requiredKeys: [] },
      ),
      ttl: fc.oneof(fc.integer({ min: 1, max: 1_000_000 }), fc.constantFrom('1s', '5d')),
      reason: fc.string(),
    },
    { requiredKeys: ['allow'] },
  );
  fc.assert(
    fc.property(valid, (answer) => {
      const parsed = read(answer);
      if (!parsed.ok || parsed.value.allow !== answer.allow) throw new Error(`not read: ${JSON.stringify(parsed)}`);
    }),
    RUNS,
  );
  // Any JSON at all, under our keys and under others.
  const key = fc.oneof(
    fc.constantFrom('allow', 'user', 'permitOpen', 'permitListen', 'limits', 'ttl', 'reason'),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.dictionary(key, fc.jsonValue(), { maxKeys: 5 }), (value) => {
      const parsed = read(value);
      if (parsed.ok && parsed.value.allow && value.allow !== true) throw new Error('allowed');
    }),
    RUNS,
  );
  // A good answer with a byte or more of it changed is still a yes only where it still says so.
  const text = fc.oneof(
    fc.string(),
    valid.map((answer) => JSON.stringify(answer)),
  );
  fc.assert(
    fc.property(text, fc.nat(), fc.string({ maxLength: 3 }), fc.nat(3), (whole, at, put, cut) => {
      const place = at % (whole.length + 1);
      const changed = whole.slice(0, place) + put + whole.slice(place + cut);
      const parsed = readWebhookAnswer(changed);
      if (!parsed.ok || !parsed.value.allow) return;
      const json: unknown = JSON.parse(changed);
      if (typeof json !== 'object' || json === null || !('allow' in json) || json.allow !== true)
        throw new Error('allowed');
    }),
    RUNS,
  );
});
