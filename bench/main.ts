/** BENCH: `npm run bench`. Owns argv and the files that a run writes. */
import { parseArgs } from 'node:util';
import { median } from '../src/load/percentiles.js';
import { openssh } from './peers/openssh.js';
import { OWN_ROOT, sallyport } from './peers/sallyport.js';
import { run } from './run.js';
import { SCENARIOS } from './scenarios/index.js';
import type { Peer } from './types.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: 'string' },
    cells: { type: 'string' },
    repeats: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
  },
});
const PEERS: readonly Peer[] = [sallyport('sallyport', OWN_ROOT), openssh];
const wantedPeers = values.peers?.split(',');
const results = await run({
  scenarios: SCENARIOS.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
  peers: PEERS.filter(({ name }) => wantedPeers?.includes(name) ?? true),
  repeats: Number(values.repeats),
  quick: values.quick,
  cells: values.cells?.split(',') ?? [],
  signal: new AbortController().signal,
  progress: (text) => process.stderr.write(`${text}\n`),
});
for (const { cell, peer, samples } of results) {
  const names = Object.keys(samples[0] ?? {});
  process.stdout.write(
    `${cell.padEnd(40)} ${peer.padEnd(12)} ${names.map((name) => `${name} ${median(samples.map((s) => s[name] ?? Number.NaN)).toFixed(3)}`).join('  ')}\n`,
  );
}
