/** QUICK START TEXT: what the quick start prints, with ssh lines that work as they stand, and the ssh config behind them
 *  (a file, since `-J` passes no `-o` on to the jump). Pure. */

import { formatHostPort, isLoopback, isUnspecified, parseAddress } from '../shared/address.js';
import type { ListenerAddress } from '../shared/ipc.js';

export interface QuickStartFacts {
  readonly user: string;
  readonly password: string | null;
  readonly keyFiles: readonly string[];
  readonly identityFile: string | null;
  /** Absolute. */
  readonly stateDir: string;
}

/** Where a client on this machine finds the server. */
interface Door {
  readonly host: string;
  readonly port: number;
}

function knownHostsFile(stateDir: string): string {
  return `${stateDir}/known_hosts`;
}

export function sshConfigFile(stateDir: string): string {
  return `${stateDir}/ssh_config`;
}

/** The whole text. `addresses` are those that are listened on, with their real ports. */
export function quickStartText(facts: QuickStartFacts, addresses: readonly ListenerAddress[]): string {
  const line = (...words: readonly string[]): string =>
    ['ssh', '-F', sshConfigFile(facts.stateDir), ...words].map(shellQuote).join(' ');
  return `${[
    `Sallyport quick start: there is no config file, so this server is for you alone${reach(addresses)}.`,
    '',
    `  listens on  ${addresses.map(shownAddress).join(', ')}`,
    `  state in    ${facts.stateDir}`,
    `  log in as   ${facts.user}, ${credentials(facts)}`,
    '  may reach   localhost, any port; -R may bind ports of localhost from 1024 on',
    '',
    'Paste one of these in another terminal. The file behind -F names the port, your user and a known_hosts file of its',
    'own: the host key is trusted at first sight, and nothing in your ~/.ssh is touched.',
    '',
    '-L  http://localhost:8080 here is port 80 of the server:',
    `    ${line('-N', '-L', '8080:localhost:80', 'sallyport')}`,
    '-R  port 9000 of the server is port 3000 here:',
    `    ${line('-N', '-R', '9000:localhost:3000', 'sallyport')}`,
    '-D  a SOCKS proxy on port 1080:',
    `    ${line('-N', '-D', '1080', 'sallyport')}`,
    '-J  through this server to the sshd behind it:',
    `    ${line('-J', 'sallyport', `${facts.user}@localhost`)}`,
    '',
  ].join('\n')}\n`;
}

/** For `ssh -F`: where the server is, for the jump and for the localhost behind it. */
export function quickStartSshConfig(facts: QuickStartFacts, addresses: readonly ListenerAddress[]): string {
  const door = doorOf(addresses);
  return `${[
    '# Made by the quick start of sallyport at each start.',
    'Host sallyport',
    `  HostName ${door.host}`,
    `  Port ${door.port}`,
    `  User ${quoted(facts.user)}`,
    'Host sallyport localhost',
    '  StrictHostKeyChecking accept-new',
    `  UserKnownHostsFile ${sshPath(knownHostsFile(facts.stateDir))}`,
    ...(facts.identityFile === null ? [] : [`  IdentityFile ${sshPath(facts.identityFile)}`]),
  ].join('\n')}\n`;
}

/** The first TCP listener; one on all addresses is reached by the loopback of its family. */
function doorOf(addresses: readonly ListenerAddress[]): Door {
  const first = addresses.find((address) => address.kind === 'tcp');
  if (first === undefined) return { host: '127.0.0.1', port: 2222 };
  const parsed = parseAddress(first.address);
  if (parsed === null || !isUnspecified(parsed)) return { host: first.address, port: first.port };
  return { host: parsed.family === 4 ? '127.0.0.1' : '::1', port: first.port };
}

function shownAddress(address: ListenerAddress): string {
  return address.kind === 'unix' ? address.path : formatHostPort(address.address, address.port);
}

function credentials({ password, keyFiles }: QuickStartFacts): string {
  if (password !== null) return `with the password ${password} (made for this run; there is no key in ~/.ssh)`;
  return `with a key of ${keyFiles.join(', ')}`;
}

/** A path as ssh_config(5) reads it: `%` begins a token, and a blank ends the value. */
function sshPath(path: string): string {
  return quoted(path.replaceAll('%', '%%'));
}

function quoted(text: string): string {
  return /[\s"#]/.test(text) ? `"${text.replaceAll('"', '\\"')}"` : text;
}

/** For any POSIX shell. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `--listen` may have opened it to others. */
function reach(addresses: readonly ListenerAddress[]): string {
  const local = addresses.every((address) => {
    const parsed = address.kind === 'tcp' ? parseAddress(address.address) : null;
    return address.kind === 'unix' || (parsed !== null && isLoopback(parsed));
  });
  return local ? ', on this machine' : '; other machines can reach it';
}
