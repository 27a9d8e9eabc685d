#!/usr/bin/env node
/** CLI: the commands and options of `sallyport`, and its exit codes: 0 good, 1 a failure at run time, 2 bad usage or
 *  config. Owns argv; each command has its file and is loaded only when it is asked for. */

import { Command, CommanderError, Option } from 'commander';
import { errnoOf, reasonOf } from '../shared/errors.js';
import { nearest } from '../shared/nearest.js';
import { ownVersion } from '../shared/version.js';
import type { PsOptions } from './admin_commands.js';
import type { AdminOptions } from './admin_place.js';
import type { BenchOptions } from './bench.js';
import type { CheckOptions } from './check.js';
import type { ExplainOptions } from './explain.js';
import type { ServeOptions } from './options.js';
import type { SchemaOptions } from './schema.js';
import type { TopOptions } from './top.js';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

const HELP_HINT = 'Run `sallyport --help` for the commands and their options.';

async function main(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command('sallyport')
    .description('An SSH server that carries tunnels and nothing else.')
    .version(ownVersion(), '-V, --version')
    .showHelpAfterError(HELP_HINT)
    .exitOverride()
    .hook('preAction', (_, command) => outliveReader(command.name() === 'top'));

  program
    .command('serve', { isDefault: true })
    .description('run the server (the default command)')
    .option('-c, --config <file>', 'config file; else ./sallyport.yaml, then /etc/sallyport/sallyport.yaml')
    .option(
      '-l, --listen <host:port>',
      'address to listen on, instead of those of the config; may stand many times',
      gather,
    )
    .option('-w, --workers <n>', 'number of workers, or auto')
    .option('--state-dir <dir>', 'folder for host keys and other state')
    .option('--handler <module>', 'module whose default export is a TunnelServer subclass: it decides, in every worker')
    .option('--log-level <level>', 'least important lines that are written')
    .option('--takeover', 'take the place of a running server with the same state dir and addresses; its tunnels go on')
    .action(async (options: ServeOptions) => {
      const { serve } = await import('./serve.js');
      exitCode = await serve(options);
    });

  program
    .command('check')
    .description('validate the config, the key files and the handler, and print every error')
    .option('-c, --config <file>', 'config file; else ./sallyport.yaml, then /etc/sallyport/sallyport.yaml')
    .option('--handler <module>', 'handler module, instead of that of the config')
    .option('--json', 'print one JSON object instead of lines')
    .action(async (options: CheckOptions) => {
      const { check } = await import('./check.js');
      process.exit(await check(options)); // a handler that was loaded may hold this process open
    });

  program
    .command('explain')
    .description('say what the server of this config would decide about a user, and by which line of which file')
    .argument('<user>', 'the name that the user logs in with')
    .option('-c, --config <file>', 'config file; else ./sallyport.yaml, then /etc/sallyport/sallyport.yaml')
    .option('-i, --key <file>', 'public key that the user logs in with; none: whatever the user has')
    .option('--certificate <file>', 'certificate that the user logs in with; offered before the key')
    .option('--from <ip>', 'address that the user comes from (default: 127.0.0.1)')
    .option('--at <time>', 'when: 2027-12-31T23:59:00Z, or as expiry-time has it (default: now)')
    .option('-o, --open <host:port|path>', 'destination of -L, -D, -W or -J; may stand many times', gather)
    .option('-l, --listen <host:port|path>', 'address of -R; may stand many times', gather)
    .option('--resolve', 'look names up, and decide about each address')
    .option('--json', 'print one JSON object instead of lines')
    .action(async (user: string, options: ExplainOptions) => {
      const { explain } = await import('./explain.js');
      exitCode = await explain(user, options);
    });

  program
    .command('schema')
    .description('print the JSON Schema of the config')
    .option('--markdown', 'print all keys as a Markdown page instead')
    .option('--webhook', 'print the JSON Schema of what a webhook is asked and may answer instead')
    .addOption(new Option('--types', 'print all keys as TypeScript instead').hideHelp())
    .addOption(new Option('--metrics', 'print the page of all metrics instead').hideHelp())
    .action(async (options: SchemaOptions) => {
      const { schema } = await import('./schema.js');
      exitCode = schema(options);
    });

  program
    .command('hash-password')
    .description('read a password (hidden on a terminal, else one line of stdin) and print its hash for the config')
    .action(async () => {
      const { hashPassword } = await import('./hash_password.js');
      exitCode = await hashPassword();
    });

  program
    .command('bench')
    .description('measure any SSH tunnel server, this one or another, from where you are')
    .argument('<target>', '[user@]host[:port]; you and port 22 where they are left out')
    .option('-i, --identity <file>', 'private key; may stand many times. Else those of ~/.ssh and the agent', gather)
    .option('--password-stdin', 'log in with a password: asked for, or the first line of stdin')
    .option('--scenarios <list>', 'some of login,open,echo,bulk,http (default: all)')
    .option('--destination <host[:port]>', 'this machine as the server sees it (default: 127.0.0.1)')
    .option('--connections <n>', 'connections at once (default: 8)')
    .option('--seconds <s>', 'length of each measurement (default: 5)')
    .option('--cipher <name>', 'the only cipher to offer')
    .option('--json', 'print one JSON object instead of the table')
    .option('--known-hosts <file>', 'instead of ~/.ssh/known_hosts')
    .option('--accept-new-host-key', 'take the key of a host that is not known; nothing is written')
    .option('--host-key-fingerprint <sha256>', 'take this host key and no other: SHA256:…')
    .action(async (target: string, options: BenchOptions) => {
      const { bench } = await import('./bench.js');
      exitCode = await bench(target, options);
    });

  addAdminCommands(program, (code) => {
    exitCode = code;
  });

  const [first] = args;
  const known = program.commands.map((command) => command.name());
  if (first !== undefined && !first.startsWith('-') && ![...known, 'help'].includes(first))
    return unknownCommand(first, known);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (thrown) {
    // Commander has printed its message; help and version come this way too, with exit code 0.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : EXIT_USAGE;
    throw thrown;
  }
  return exitCode;
}

/** What talks to a running server. */
function addAdminCommands(program: Command, ended: (exitCode: number) => void): void {
  const asking = (usage: string, description: string): Command =>
    program
      .command(usage)
      .description(description)
      .option(
        '-c, --config <file>',
        'config file of the server; else ./sallyport.yaml, then /etc/sallyport/sallyport.yaml',
      )
      .option('--state-dir <dir>', "the server's, where `serve` was given one")
      .option('--admin <address>', 'unix:PATH or HOST:PORT, instead of admin.listen of the config')
      .option('--token-file <file>', 'token for HOST:PORT, instead of admin.tokenFile of the config');
  const command = (usage: string, description: string): Command =>
    asking(usage, description).option('--json', 'print one JSON object');
  command('status', 'say how a running server is').action(async (options: AdminOptions) => {
    const { status } = await import('./admin_commands.js');
    ended(await status(options));
  });
  command('ps', 'list the connections of a running server')
    .option('--user <name>', 'of this user alone')
    .option('--search <text>', 'with this in the user, the peer or a destination')
    .option('--limit <n>', 'how many are shown, the oldest first (default: 1000)')
    .option('--channels', 'with their channels')
    .option('--forwards', 'list what is bound by -R instead')
    .action(async (options: PsOptions) => {
      const { ps } = await import('./admin_commands.js');
      ended(await ps(options));
    });
  command('kill', 'end a connection of a running server')
    .argument('<id>', 'its number, as `ps` shows it')
    .action(async (id: string, options: AdminOptions) => {
      const { kill } = await import('./admin_commands.js');
      ended(await kill(id, options));
    });
  command('drain', 'let nobody in any more, and end the server with its last connection').action(
    async (options: AdminOptions) => {
      const { drain } = await import('./admin_commands.js');
      ended(await drain(options));
    },
  );
  command('reload', 'have a running server read its config again').action(async (options: AdminOptions) => {
    const { reload } = await import('./admin_commands.js');
    ended(await reload(options));
  });
  asking('top', 'watch a running server: its connections, tunnels, forwards and users, and what they move')
    .option('-d, --interval <s>', 'seconds between two looks (default: 2)')
    .option('--view <name>', 'connections, tunnels, forwards or users (default: connections)')
    .option('--sort <key>', 'id, user, place, tunnels, rate, in, out, total or age (default: rate)')
    .option('--filter <text>', 'with this in the user, the peer or a destination')
    .option('--once', 'print it once, after one interval, and without a terminal too')
    .action(async (options: TopOptions) => {
      const { top } = await import('./top.js');
      ended(await top(options));
    });
}

function unknownCommand(word: string, known: readonly string[]): number {
  const close = nearest(word, known);
  const hint = close === undefined ? '' : ` (did you mean ${close}?)`;
  process.stderr.write(`error: unknown command '${word}'${hint}\n${HELP_HINT}\n`);
  return EXIT_USAGE;
}

/** `sallyport ps | head -1` is no failure: what is printed is nobody's from then on, and the command ends as it would have. `top` would
 *  go on for ever, for nobody. */
function outliveReader(isEndless: boolean): void {
  process.stdout.on('error', (error) => {
    if (errnoOf(error) !== 'EPIPE') throw error;
    if (isEndless) process.exit(0);
  });
}

function gather(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (thrown) {
  process.stderr.write(`error: ${reasonOf(thrown)}\n`);
  process.exitCode = EXIT_FAILURE;
}
