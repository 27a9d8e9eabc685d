/** README: the quick start, the server for others, and a load test, as the README says them. */
import { symlinkSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { exchange } from '../../support/bytes.js';
import { put } from '../../support/doc_blocks.js';
import { projectRoot } from '../../support/paths.js';
import { connectWhenUp, freePort, startEcho } from '../../support/targets.js';
import { ANYWHERE, type Scene } from './scene.js';

const FILE = 'README.md';
const SSH = ['ssh', 'ssh-keygen'] as const;

export const README: readonly Scene[] = [
  {
    file: FILE,
    heading: 'A first tunnel',
    needs: SSH,
    play: async (t, stage, section) => {
      const [echo, port] = [await startEcho(t), await freePort()];
      await stage.must("mkdir -m 700 .ssh && ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519");
      const server = stage.sh('sallyport --listen 127.0.0.1:0 --workers 1');
      await server.waitFor(/-J sallyport/, 60_000);
      t.match(server.stdout, userInfo().username);
      stage.sh(
        put(section.command('ssh -F'), [
          ['8080', String(port)],
          ['localhost:80', `localhost:${echo.port}`],
        ]),
      );
      const { sent, received } = await exchange(await connectWhenUp(t, port), 'readme', 10_000);
      t.same(received, sent);
    },
  },
  {
    file: FILE,
    heading: 'A server for others',
    needs: SSH,
    play: async (t, stage, section) => {
      const alice = await stage.login('alice');
      symlinkSync(join(projectRoot, 'build'), stage.path('build'));
      const config = put(section.take('yaml'), [ANYWHERE]);
      stage.write('sallyport.yaml', `${config}log: { format: json }\nworkers: 1\n`);
      t.match(await stage.must(section.command('node build/src/cli/main.js check')), /good/);
      const explained = await stage.run(section.command('node build/src/cli/main.js explain'));
      t.match(explained.stdout, /open db\.internal:5432: \w+/);
      const hash = await stage.must(section.command('node build/src/cli/main.js hash-password'), 'correct horse\n');
      t.match(hash, /^\$argon2id\$/);
      const server = await stage.started(section.command('node build/src/cli/main.js serve'));
      const login = `ssh -p ${server.port} -i ${alice.keyFile} alice@${server.host}`;
      t.match((await stage.run(login)).stderr, /This server only carries tunnels/);
    },
  },
  {
    file: FILE,
    heading: 'How fast is it, and how fast is yours?',
    needs: SSH,
    play: async (t, stage, section) => {
      const alice = await stage.login('alice');
      symlinkSync(join(projectRoot, 'build'), stage.path('build'));
      const server = await stage.serve(
        'listen: ["127.0.0.1:0"]\nusers: { alice: { authorizedKeys: ./alice.pub, permitOpen: ["127.0.0.1:*"] } }\n',
      );
      const bench = put(section.command('node build/src/cli/main.js bench'), [
        ['tunnel.example.org:2222', `${server.host}:${server.port}`],
      ]);
      const short = `--scenarios login --connections 1 --seconds 1 -i ${alice.keyFile} --accept-new-host-key`;
      t.match(await stage.run(`${bench} ${short}`), { code: 0, stdout: /login/ });
    },
  },
  {
    file: 'docs/bench.md',
    heading: '`sallyport bench`: how fast is an SSH tunnel server from here?',
    needs: SSH,
    play: async (t, stage, section) => {
      const alice = await stage.login('alice');
      const server = await stage.serve(
        'listen: ["127.0.0.1:0"]\nusers: { alice: { authorizedKeys: ./alice.pub, permitOpen: ["127.0.0.1:*"] } }\n',
      );
      const bench = put(section.command('sallyport bench'), [
        ['tunnel.example.org:2222', `${server.host}:${server.port}`],
      ]);
      const short = `--scenarios open --connections 1 --seconds 2 -i ${alice.keyFile} --accept-new-host-key`;
      t.match(await stage.run(`${bench} ${short}`), { code: 0, stdout: /open/ });
    },
  },
];
