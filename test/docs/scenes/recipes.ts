/** RECIPES: docs/recipes.md with OpenSSH's client. What is ours in place of theirs stands in each `put`. */
import { mkdirSync } from 'node:fs';
import type { Test } from 'tap';
import { exchange } from '../../support/bytes.js';
import { blocksOfFile, put } from '../../support/doc_blocks.js';
import { Stage, type StagedServer } from '../../support/doc_stage.js';
import { type Sshd, startSshd } from '../../support/sshd.js';
import { connectWhenUp, freePort, type Place, startEcho, startTarget } from '../../support/targets.js';
import { ANYWHERE, type Scene } from './scene.js';

const FILE = 'docs/recipes.md';

/** The server of a recipe, known to ssh by the `Host tunnel` of the docs. */
async function serveTunnel(stage: Stage, config: string): Promise<StagedServer> {
  await stage.login('alice');
  const server = await stage.serve(put(config, [ANYWHERE]));
  const host = blocksOfFile(FILE).find((block) => block.language === 'ssh-config')?.text ?? '';
  const ours = put(host, [
    ['tunnel.example.org', server.host],
    ['Port 2222', `Port ${server.port}`],
  ]);
  stage.hosts(`${ours}  IdentityFile ${stage.path('alice')}`);
  return server;
}

/** Bytes go there and come back whole. */
async function echoes(t: Test, place: Place): Promise<void> {
  const { sent, received } = await exchange(await connectWhenUp(t, place), 'recipe', 10_000);
  t.same(received, sent);
}

function hostOf(name: string, sshd: Sshd): string {
  return [
    `Host ${name}`,
    '  HostName localhost',
    `  Port ${sshd.port}`,
    `  User ${sshd.login.name}`,
    `  IdentityFile ${sshd.login.keyFile}`,
  ].join('\n');
}

const SSH = ['ssh', 'ssh-keygen'] as const;

export const RECIPES: readonly Scene[] = [
  {
    file: FILE,
    heading: 'Recipes',
    needs: SSH,
    // The host that every other recipe uses: `serveTunnel` gives it to ssh.
    play: async (t, _stage, section) => {
      t.match(section.take('ssh-config'), /^Host tunnel$/m);
    },
  },
  {
    file: FILE,
    heading: 'A database behind a bastion',
    needs: SSH,
    play: async (t, stage, section) => {
      const [echo, port] = [await startEcho(t), await freePort()];
      const ours = [['db.internal:5432', `localhost:${echo.port}`]] as const;
      await serveTunnel(stage, put(section.take('yaml'), ours));
      stage.sh(put(section.command('ssh -N -L'), [...ours, ['5433', String(port)]]));
      await echoes(t, port);
      const elsewhere = await stage.run(`ssh -W localhost:${port} tunnel`);
      t.match(elsewhere.stderr, /not permitted/, 'no further than that');

      const second = new Stage(t);
      mkdirSync(second.path('pg'));
      await startEcho(t, second.path('pg/.s.PGSQL.5432'));
      const path = [['/run/postgresql', second.path('pg')]] as const;
      await serveTunnel(second, put(section.take('yaml'), path));
      second.sh(put(section.command('ssh -N -o StreamLocalBindUnlink=yes'), path));
      await echoes(t, second.path('.s.PGSQL.5432'));
    },
  },
  {
    file: FILE,
    heading: 'Show a development server to others',
    needs: SSH,
    play: async (t, stage, section) => {
      const [echo, port] = [await startEcho(t), await freePort()];
      const local = ['localhost:3000', `localhost:${echo.port}`] as const;
      const users = put(section.take('yaml'), [['8000-8099', `${port}`]]);
      mkdirSync(stage.path('tunnels'));
      const socket = stage.path('tunnels/web.sock');
      const theirs = section.inline('permitListen: ["/run/tunnels/alice');
      const paths = put(theirs.slice(theirs.indexOf('[') + 1, -1), [['/run/tunnels/alice', stage.path('tunnels')]]);
      const server = await serveTunnel(stage, put(users, [[`"localhost:${port}"`, `"localhost:${port}", ${paths}`]]));
      const client = stage.sh(put(section.command('ssh -N -R'), [['8000', String(port)], local]));
      await echoes(t, port);
      await client.stop();
      await server.events.wait('forward.released');

      const any = stage.sh(`ssh -N ${put(section.inline('-R 0:'), [local])} tunnel`);
      await any.waitFor(new RegExp(`Allocated port ${port} for remote forward`));
      await any.stop();
      const unix = section.inline('ssh -N -R /run/tunnels/alice/web.sock');
      stage.sh(put(unix, [['/run/tunnels/alice', stage.path('tunnels')], local]));
      await echoes(t, socket);
    },
  },
  {
    file: FILE,
    heading: 'Devices behind NAT',
    needs: [...SSH, 'sshd', 'ssh-keyscan', 'systemd-analyze'],
    play: async (t, stage, section) => {
      const [device, port] = [await startSshd(t), await freePort()];
      await stage.login('sensor-17');
      const config = put(section.take('yaml'), [
        ['20000-20999', String(port)],
        ['20017', String(port)],
      ]);
      const server = await serveTunnel(stage, config);
      const unit = section.take('ini');
      stage.write('tunnel.service', unit);
      await stage.must('systemd-analyze verify ./tunnel.service');
      const line = /^ExecStart=(.*)$/m.exec(unit)?.[1] ?? '';

      const scan = put(section.command('ssh-keyscan'), [
        ['2222', String(server.port)],
        ['tunnel.example.org', server.host],
      ]);
      await stage.must(scan);
      const seen = await stage.must(section.command('ssh-keygen -l -f known_hosts'));
      const [, own = 'none'] = (await stage.must(section.command('ssh-keygen -l -f state'))).split(' ');
      t.ok(seen.includes(own), 'what the network shows is what the server has');

      stage.hosts(`Host tunnel.example.org\n  HostName ${server.host}`);
      const ours = put(line, [
        ['/usr/bin/ssh', 'ssh'],
        ['/etc/tunnel/id', stage.path('sensor-17')],
        ['/etc/tunnel/known_hosts', stage.path('known_hosts')],
        ['20017:localhost:22', `${port}:localhost:${device.port}`],
        ['-p 2222', `-p ${server.port}`],
      ]);
      stage.sh(ours);
      await server.events.wait('forward.bound', { user: 'sensor-17' });
      stage.hosts(`Host localhost\n  IdentityFile ${device.login.keyFile}`);
      const visit = put(section.command('ssh -J'), [
        ['20017', String(port)],
        ['pi@', `${device.login.name}@`],
      ]);
      t.match(await stage.run(`${visit} 'echo I am $((4 + 3))'`), { code: 0, stdout: 'I am 7\n' });
      t.match(stage.read('known_hosts.met'), /^sensor-17 /m, 'the host key is kept under the name of the device');
    },
  },
  {
    file: FILE,
    heading: 'SOCKS: a browser in another network',
    needs: [...SSH, 'curl'],
    play: async (t, stage, section) => {
      const page = 'HTTP/1.0 200 OK\r\n\r\nthe wiki\n';
      const { port: webPort } = await startTarget(t, (socket) => socket.once('data', () => socket.end(page)));
      const socksPort = await freePort();
      await serveTunnel(stage, put(section.take('yaml'), [['*.internal:80,443', `localhost:${webPort}`]]));
      stage.sh(put(section.command('ssh -N -D'), [['1080', String(socksPort)]]));
      (await connectWhenUp(t, socksPort)).destroy();
      const curl = put(section.command('curl --proxy'), [
        ['localhost:1080', `localhost:${socksPort}`],
        ['wiki.internal', `localhost:${webPort}`],
      ]);
      t.match(await stage.run(curl), { code: 0, stdout: 'the wiki\n' });
    },
  },
  {
    file: FILE,
    heading: 'A jump host',
    needs: [...SSH, 'sshd'],
    play: async (t, stage, section) => {
      const behind = await startSshd(t);
      await serveTunnel(stage, put(section.take('yaml'), [['*.internal:22', `localhost:${behind.port}`]]));
      stage.hosts(hostOf('web1.internal', behind));
      const theirs = ['admin@', `${behind.login.name}@`] as const;
      const jump = put(section.command('ssh -J'), [theirs]);
      t.match(await stage.run(`${jump} 'echo I am $((4 + 3))'`), { code: 0, stdout: 'I am 7\n' });
      stage.write('report.txt', 'all is well\n');
      mkdirSync(stage.path('there'));
      await stage.must(put(section.command('scp -J'), [theirs, [':/tmp/', `:${stage.path('there')}/`]]));
      t.equal(stage.read('there/report.txt'), 'all is well\n');

      stage.hosts(section.take('ssh-config'));
      t.match(await stage.run(`${section.inline('ssh web1.internal')} 'echo I am $((4 + 3))'`), { stdout: 'I am 7\n' });
    },
  },
];
