/** BENCH: a load test of any SSH tunnel server, seen from the client. Owns the options, the interruption, and what is
 *  printed: progress and errors on stderr, the result on stdout. The test itself is src/load. */

import { readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { type Credentials, findCredentials, triedLines } from '../load/credentials.js';
import { Progress } from '../load/progress.js';
import { type Failure, type Report, SCENARIOS, type ScenarioName, table } from '../load/report.js';
import type { RunOptions } from '../load/run.js';
import { CLIENT_CIPHERS } from '../load/ssh2_client.js';
import { parsePlace, parseTarget } from '../load/target.js';
import { formatHostPort } from '../shared/address.js';
import { reasonOf } from '../shared/errors.js';
import { nearest } from '../shared/nearest.js';
import { askHidden, firstLine } from './hidden_input.js';

/** As they were typed. */
export interface BenchOptions {
  readonly identity?: readonly string[];
  readonly passwordStdin?: boolean;
  readonly scenarios?: string;
  readonly destination?: string;
  readonly connections?: string;
  readonly seconds?: string;
  readonly cipher?: string;
  readonly json?: boolean;
  readonly knownHosts?: string;
  readonly acceptNewHostKey?: boolean;
  readonly hostKeyFingerprint?: string;
}

const MAX_CONNECTIONS = 1000;
const MAX_SECONDS = 3600;
const MAX_PASSWORD_BYTES = 1024;

/** @returns the exit code: 0 good, 1 refused or a failed check, 2 bad usage, 128 and the signal's number if interrupted */
export async function bench(target: string, options: BenchOptions): Promise<number> {
  // Before src/load/run.js is read: without crc32 it could not be.
  if (!('crc32' in zlib)) return fail(1, `bench needs Node.js 20.15 or newer (zlib.crc32), this is ${process.version}`);
  const interruption = new AbortController();
  let signalNumber = 0;
  const onSignal = (_: NodeJS.Signals, number: number): void => {
    signalNumber = number;
    interruption.abort();
  };
  try {
    const settings = await settle(target, options);
    if (typeof settings === 'string') return fail(2, settings);
    const { runLoad } = await import('../load/run.js');
    const progress = new Progress(process.stderr);
    // Once: the second Ctrl-C ends the process at once.
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
    const report = await runLoad({ ...settings, signal: interruption.signal, progress });
    progress.clear();
    print(report, options.json === true);
    if (report.interrupted) return 128 + signalNumber;
    return exitCodeFor(report);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function exitCodeFor(report: Report): number {
  if (report.ok) return 0;
  return report.failures.some(({ code }) => code === 'BAD_DESTINATION') ? 2 : 1;
}

type Settings = Omit<RunOptions, 'signal' | 'progress'>;

/** Everything that was typed, checked. @returns a text that says what is wrong with it */
async function settle(text: string, options: BenchOptions): Promise<Settings | string> {
  const target = parseTarget(text);
  if (target === undefined) return `target '${text}': expected [user@]host[:port]`;
  const scenarios = scenarioNames(options.scenarios);
  if (typeof scenarios === 'string') return scenarios;
  const place = parsePlace(options.destination ?? '127.0.0.1');
  if (place === undefined) return `--destination '${options.destination}': expected host or host:port`;
  const connections = Number(options.connections ?? 8);
  if (!Number.isInteger(connections) || connections < 1 || connections > MAX_CONNECTIONS)
    return `--connections '${options.connections}': expected a whole number, 1 to ${MAX_CONNECTIONS}`;
  const seconds = Number(options.seconds ?? 5);
  if (!(seconds >= 0.1 && seconds <= MAX_SECONDS))
    return `--seconds '${options.seconds}': expected a number, 0.1 to ${MAX_SECONDS}`;
  const { cipher, hostKeyFingerprint } = options;
  if (cipher !== undefined && !CLIENT_CIPHERS.includes(cipher))
    return `--cipher '${cipher}': this client has ${CLIENT_CIPHERS.join(', ')}`;
  if (hostKeyFingerprint !== undefined && !/^SHA256:[A-Za-z0-9+/]{43}$/.test(hostKeyFingerprint))
    return `--host-key-fingerprint '${hostKeyFingerprint}': expected SHA256: and 43 characters, as ssh-keygen -l prints it`;
  const knownHosts = readKnownHosts(options.knownHosts);
  if (typeof knownHosts === 'string') return knownHosts;
  const credentials = await findAll(options);
  if (typeof credentials === 'string') return credentials;
  return {
    ...{ host: target.host, port: target.port, user: target.user ?? userInfo().username, credentials },
    ...{ scenarios, connections, seconds, cipher, knownHosts, hostKeyFingerprint },
    destination: { host: place.host, port: place.port ?? 0 },
    acceptNewHostKey: options.acceptNewHostKey === true,
  };
}

function scenarioNames(list: string | undefined): readonly ScenarioName[] | string {
  if (list === undefined) return SCENARIOS;
  const words = list.split(',').map((word) => word.trim());
  for (const word of words) {
    if (SCENARIOS.some((name) => name === word)) continue;
    const close = nearest(word, SCENARIOS);
    const meant = close === undefined ? '' : ` (did you mean ${close}?)`;
    return `--scenarios: there is no '${word}'${meant}; there are ${SCENARIOS.join(', ')}`;
  }
  return SCENARIOS.filter((name) => words.includes(name));
}

function readKnownHosts(named: string | undefined): RunOptions['knownHosts'] | string {
  const file = named ?? join(homedir(), '.ssh', 'known_hosts');
  try {
    return { file, text: readFileSync(file, 'utf8') };
  } catch (thrown) {
    // Without the usual file no host is known, which is what the person will be told.
    return named === undefined ? { file, text: '' } : `--known-hosts: ${reasonOf(thrown)}`;
  }
}

async function findAll(options: BenchOptions): Promise<Credentials | string> {
  const password = options.passwordStdin === true ? await readPassword() : undefined;
  if (password === null || password === '') return 'no password was given';
  const sshDir = join(homedir(), '.ssh');
  const credentials = findCredentials({
    identities: options.identity ?? [],
    password,
    sshDir,
    agent: process.env.SSH_AUTH_SOCK || undefined,
  });
  const { keys, agent } = credentials;
  if (keys.length > 0 || agent !== undefined || password !== undefined) return credentials;
  return [
    `no key to log in with: none in ${sshDir}, no agent; name one with -i FILE, or use --password-stdin`,
    ...triedLines(credentials).map((line) => `  ${line}`),
  ].join('\n');
}

async function readPassword(): Promise<string | null> {
  const { stdin } = process;
  return stdin.isTTY ? await askHidden(stdin, 'Password: ') : await firstLine(stdin, MAX_PASSWORD_BYTES);
}

function print(report: Report, asJson: boolean): void {
  for (const failure of report.failures) process.stderr.write(`error: ${failureText(failure)}\n`);
  if (report.interrupted) process.stderr.write('interrupted: what had not ended has no figure\n');
  if (asJson) {
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  if (report.results.length === 0) return;
  const { target, server, notes } = report;
  const place = `${target.user}@${formatHostPort(target.host, target.port)}`;
  const about = server === null ? '' : `: ${server.software}, ${server.cipher}, ${server.kex}, ${server.hostKey}`;
  process.stdout.write(`${place}${about}\n\n${table(report)}\n`);
  for (const note of notes) process.stdout.write(`\nnote: ${note}\n`);
}

function failureText({ scenario, cell, message, advice }: Failure): string {
  const where = scenario === null ? '' : `${scenario} (${cell}): `;
  return [`${where}${message}`, ...advice.map((line) => `  ${line}`)].join('\n');
}

function fail(exitCode: number, message: string): number {
  process.stderr.write(`error: ${message}\n`);
  return exitCode;
}
