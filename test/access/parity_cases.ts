/** PARITY CASES: credentials with all sorts of rights, and what is asked for with each. Data: the same for one seed.
 *  Owns nothing. */
import { seededRandom } from '../support/random.js';

export type KeyKind = 'ed25519' | 'ecdsa256' | 'ecdsa384' | 'ecdsa521' | 'rsa2048' | 'rsa1024';

/** As ssh-keygen makes it. */
export interface CertificateSpec {
  /** Whose line or file lets it in: `trusted` is of TrustedUserCAKeys, `line` a cert-authority line, `stranger` neither. */
  readonly ca: 'trusted' | 'line' | 'stranger';
  /** `-n`; `NAME` stands for the name of the login. */
  readonly principals: readonly string[];
  /** `-V` */
  readonly validity: string | null;
  /** `-O`, each */
  readonly options: readonly string[];
  /** A host's, with `-h`. */
  readonly isHost?: boolean;
}

export interface ParityCase {
  readonly name: string;
  readonly kind: KeyKind;
  /** Before the key in its line, or before its CA's; with `PORT` and `OTHER` for the ports that are asked for, and not. */
  readonly options: string;
  readonly certificate: CertificateSpec | null;
  readonly source: '127.0.0.1' | '127.0.0.2';
}

const OPENS = ['127.0.0.1:PORT', 'localhost:PORT', 'LOCALHOST:PORT', '127.0.0.1:*', 'localhost:*', '*:PORT', '*:*'];
const NO_OPENS = ['127.0.0.1:OTHER', '127.0.0.*:PORT', '127.0.0.?:PORT', 'local*:PORT', '[::1]:PORT', '::1/PORT'];
const LISTENS = [
  'PORT',
  'localhost:PORT',
  'LOCALHOST:PORT',
  'local*:PORT',
  '127.0.0.?:PORT',
  '*:PORT',
  'localhost:*',
  '*:*',
];
const NO_LISTENS = ['OTHER', 'localhost:OTHER', '[::1]:PORT', '10.*:*'];
const FROMS = ['127.0.0.1', '127.0.0.2', '127.0.0.0/8', '127.0.0.0/30', '10.0.0.0/8', '!127.0.0.1,*', '*,!127.0.0.2'];
const MORE_FROMS = [
  '127.0.0.?',
  '!127.0.0.2,127.0.0.0/8',
  'localhost',
  '*',
  '::1',
  '!10.0.0.1',
  '127.0.0.1,10.0.0.1',
  '1?7.*',
];
const BROKEN_FROMS = ['127.0.0.1/33', '127.0.0.1/8', ''];
const TIMES = ['20000101', '20000101Z', '20991231', '209912312359', '209912312359Z', '20991231235959Z', '199912312359'];
const BROKEN_TIMES = ['tomorrow', '2099123', '20991331', ''];

const value = (name: string, values: readonly string[]): readonly string[] => values.map((text) => `${name}="${text}"`);

/** Options by how often they are wanted. */
const WANTED: ReadonlyArray<{ readonly share: number; readonly texts: readonly string[] }> = [
  { share: 6, texts: value('permitopen', OPENS) },
  { share: 3, texts: value('permitopen', NO_OPENS) },
  { share: 6, texts: value('permitlisten', LISTENS) },
  { share: 3, texts: value('permitlisten', NO_LISTENS) },
  { share: 4, texts: value('from', FROMS) },
  { share: 2, texts: value('from', MORE_FROMS) },
  { share: 2, texts: value('expiry-time', TIMES) },
  { share: 2, texts: ['restrict', 'no-port-forwarding', 'RESTRICT'] },
  { share: 3, texts: ['port-forwarding', 'Port-Forwarding'] },
  {
    share: 3,
    texts: ['pty', 'no-pty', 'agent-forwarding', 'no-X11-forwarding', 'x11-forwarding', 'user-rc', 'no-user-rc'],
  },
  {
    share: 2,
    texts: ['command="/bin/true"', 'command="echo \\"a b\\", c"', 'environment="A=b"', 'tunnel="0"', 'tunnel="any"'],
  },
  { share: 1, texts: ['no-touch-required', 'verify-required'] },
  {
    share: 1,
    texts: [
      'frobnicate',
      'permitopen',
      'permitopen="nohost"',
      'permitopen="127.0.0.1:0"',
      'permitopen="127.0.0.1:65536"',
      'permitlisten=""',
      'principals="somebody"',
      'environment="no name"',
      'tunnel="x"',
      'from=127.0.0.1',
      'restrict="yes"',
      ...value('from', BROKEN_FROMS),
      ...value('expiry-time', BROKEN_TIMES),
    ],
  },
];

const ALL_EXTENSIONS = ['permit-X11-forwarding', 'permit-agent-forwarding', 'permit-pty', 'permit-user-rc'];

/** Each option alone, from either address, before chance mixes them. */
function single(): ParityCase[] {
  return WANTED.flatMap(({ texts }) => texts).map((options, at) => ({
    name: `alone: ${options}`,
    kind: 'ed25519',
    options,
    certificate: null,
    source: at % 2 === 0 ? '127.0.0.1' : '127.0.0.2',
  }));
}

/** Lines that two readers of the manual may read in two ways. `PORT` and `OTHER` as in a case. */
const SUSPECTS: readonly string[] = [
  // Numbers, as strtonum reads them, and hosts in all spellings.
  ...value('permitopen', ['127.0.0.1:0PORT', '127.0.0.1:+PORT', '127.0.0.1: PORT', '127.0.0.1:PORT ', '127.0.0.1:-1']),
  ...value('permitopen', [
    '[127.0.0.1]:PORT',
    '127.0.0.1/PORT',
    ':PORT',
    'PORT',
    '*',
    '[*]:PORT',
    '127.0.0.1:',
    ' localhost:PORT',
  ]),
  ...value('permitlisten', [
    '0PORT',
    '+PORT',
    ' PORT',
    ':PORT',
    '[localhost]:PORT',
    'localhost/PORT',
    '*',
    '?ocalhost:PORT',
  ]),
  // Order, repetition, and what cancels what.
  'restrict,port-forwarding,restrict',
  'port-forwarding,no-port-forwarding',
  'no-port-forwarding,permitopen="127.0.0.1:PORT"',
  'restrict,permitlisten="PORT",port-forwarding',
  'expiry-time="20991231",expiry-time="20000101"',
  'expiry-time="20000101",expiry-time="20991231"',
  'from="127.0.0.1",from="127.0.0.1"',
  'command="a",command="b"',
  'environment="A=b",environment="A=c"',
  'tunnel="0",tunnel="1"',
  'permitopen="127.0.0.1:PORT",permitopen="127.0.0.1:PORT"',
  // Commas, blanks, quotes.
  'restrict,',
  ',restrict',
  'pty,,no-pty',
  'restrict ,pty',
  'command="a\\\\"',
  'command="a\\"b"',
  'command=""',
  "command='a'",
  ...value('from', [
    ' 127.0.0.1',
    '127.0.0.1 ',
    '127.0.0.1, 10.0.0.1',
    '127.0.0.1,',
    ',127.0.0.1',
    '!127.0.0.3',
    '127.0.0.1/32',
  ]),
  ...value('from', ['127.0.0.1/032', '127.0.0.01', '127.1', '::ffff:127.0.0.1', '!*', '*,!127.0.0.0/8', '0.0.0.0/0']),
  ...value('expiry-time', [
    '20991231z',
    '20991231Z ',
    '209912312460',
    '209912312400',
    '20991231235960',
    '20991231235961',
    '20991231235962',
    '00000101',
  ]),
  // A key that is a CA is no key.
  'cert-authority',
  'cert-authority,principals="ops"',
];

function suspects(): ParityCase[] {
  const lines = SUSPECTS.map((options) => ({ name: `suspect: ${options}`, options, certificate: null }));
  const certified = SUSPECT_CERTIFICATES.map(([options, certificate]) => ({
    name: `suspect certificate: ${options} ${JSON.stringify(certificate)}`,
    options,
    certificate: { ca: 'line', principals: ['NAME'], validity: null, options: [], ...certificate } as const,
  }));
  return [...lines, ...certified].map((suspect) => ({ ...suspect, kind: 'ed25519', source: '127.0.0.1' }));
}

const SUSPECT_CERTIFICATES: ReadonlyArray<readonly [options: string, certificate: Partial<CertificateSpec>]> = [
  ['cert-authority,principals="ops,"', { principals: ['ops'] }],
  ['cert-authority,principals=",ops"', { principals: ['ops'] }],
  ['cert-authority,principals="dev,,ops"', { principals: ['ops'] }],
  ['cert-authority,principals="ops,,dev"', { principals: ['ops'] }],
  ['cert-authority,principals="dev, ops"', { principals: ['ops'] }],
  ['cert-authority,principals="o*"', { principals: ['ops'] }],
  ['cert-authority,principals="OPS"', { principals: ['ops'] }],
  ['cert-authority,principals=""', { principals: ['ops'] }],
  ['cert-authority,principals="ops"', { principals: ['op', 'opss', ' ops'] }],
  ['cert-authority,principals="dev",principals="ops"', { principals: ['ops'] }],
  ['cert-authority,command="date"', { options: ['force-command=date'] }],
  ['cert-authority,command="date"', { options: ['force-command=date '] }],
  ['cert-authority,command="date"', {}],
  ['cert-authority', { options: ['clear', 'extension:permit-port-forwarding=x'] }],
  ['cert-authority', { options: ['no-touch-required'] }],
  ['cert-authority,restrict', {}],
  ['cert-authority,restrict,port-forwarding', { options: ['no-port-forwarding'] }],
  ['cert-authority,from="127.0.0.0/8"', { options: ['source-address=127.0.0.2'] }],
  ['cert-authority,from="10.0.0.0/8"', { options: ['source-address=127.0.0.1'] }],
  ['cert-authority,expiry-time="20000101"', {}],
  ['CERT-AUTHORITY', {}],
  ['', {}],
];

function kinds(): ParityCase[] {
  const all: readonly KeyKind[] = ['ed25519', 'ecdsa256', 'ecdsa384', 'ecdsa521', 'rsa2048', 'rsa1024'];
  return all.map((kind) => ({ name: `key: ${kind}`, kind, options: '', certificate: null, source: '127.0.0.1' }));
}

function mixed(count: number, random: () => number): ParityCase[] {
  return Array.from({ length: count }, (_, at) => {
    const options = Array.from({ length: 2 + Math.floor(random() * 4) }, () => oneOption(random)).join(',');
    return {
      name: `mixed ${at}: ${options}`,
      kind: 'ed25519',
      options,
      certificate: null,
      source: random() < 0.7 ? '127.0.0.1' : '127.0.0.2',
    };
  });
}

function certificates(count: number, random: () => number): ParityCase[] {
  return Array.from({ length: count }, (_, at) => {
    const certificate: CertificateSpec = {
      ca: pick(['trusted', 'trusted', 'line', 'line', 'stranger'], random),
      principals: pick([['NAME'], ['NAME'], ['NAME', 'ops'], ['ops'], ['ops', 'dev'], ['NAME*'], []], random),
      validity: pick([null, null, '-1h:+1h', '-2h:-1h', '+1h:+2h', 'always:forever'], random),
      options: certificateOptions(random),
      ...(random() < 0.05 ? { isHost: true } : {}),
    };
    const lineOptions = [
      'cert-authority',
      ...(random() < 0.4 ? [pick(['principals="ops"', 'principals="dev,ops"', 'principals="other"'], random)] : []),
      ...(random() < 0.6 ? [oneOption(random)] : []),
    ];
    const options = certificate.ca === 'line' ? lineOptions.join(',') : '';
    return {
      name: `certificate ${at}: ${JSON.stringify(certificate)} ${options}`,
      kind: pick<KeyKind>(['ed25519', 'ed25519', 'ecdsa256', 'ecdsa384'], random),
      options,
      certificate,
      source: random() < 0.7 ? '127.0.0.1' : '127.0.0.2',
    };
  });
}

function certificateOptions(random: () => number): readonly string[] {
  const wanted: string[] = [];
  if (random() < 0.3) wanted.push('clear', ...ALL_EXTENSIONS.filter(() => random() < 0.5));
  else if (random() < 0.2) wanted.push('no-port-forwarding');
  if (random() < 0.3)
    wanted.push(`source-address=${pick(['127.0.0.1/32', '127.0.0.0/8', '127.0.0.2', '10.0.0.0/8,127.0.0.1'], random)}`);
  if (random() < 0.2) wanted.push('force-command=/bin/true');
  if (random() < 0.1) wanted.push('critical:unheard-of@example.com=1');
  if (random() < 0.1) wanted.push('extension:unheard-of@example.com=1');
  if (random() < 0.1) wanted.push('verify-required');
  return wanted;
}

const BY_SHARE = WANTED.flatMap(({ share, texts }) => Array.from({ length: share }, () => texts));

function oneOption(random: () => number): string {
  return pick(pick(BY_SHARE, random), random);
}

function pick<T>(from: readonly T[], random: () => number): T {
  const picked = from[Math.floor(random() * from.length)];
  if (picked === undefined) throw new Error('nothing to pick from');
  return picked;
}

/** More than 300. */
export function parityCases(seed: number): readonly ParityCase[] {
  const random = seededRandom(seed);
  return [...kinds(), ...single(), ...suspects(), ...mixed(170, random), ...certificates(100, random)];
}
