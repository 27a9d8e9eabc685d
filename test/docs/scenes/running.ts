/** RUNNING: the commands of docs/running.md at a server that runs, and the half of a proxy of docs/proxy.md. */
import { put } from '../../support/doc_blocks.js';
import type { Stage } from '../../support/doc_stage.js';
import type { Scene } from './scene.js';

const FILE = 'docs/running.md';
const CONFIG = 'listen: ["127.0.0.1:0"]\nusers: { alice: { authorizedKeys: ./alice.pub } }\n';

/** `pgrep` looks at the whole machine, where other servers may run with a `sallyport.yaml`. */
function own(stage: Stage): string {
  return stage.path('sallyport.yaml');
}

export const RUNNING: readonly Scene[] = [
  {
    file: FILE,
    heading: 'Reload',
    needs: ['ssh-keygen', 'pgrep'],
    play: async (_t, stage, section) => {
      await stage.login('alice');
      const server = await stage.serve(CONFIG, `sallyport serve --config ${own(stage)}`);
      // In a script of its own: on the command line of a shell the words would be found as the shell's.
      stage.write('reload.sh', put(section.command('sallyport check'), [['sallyport.yaml', own(stage)]]));
      await stage.must('bash reload.sh');
      await server.events.wait('config.reloaded');
    },
  },
  {
    file: FILE,
    heading: 'Another host key',
    needs: ['ssh-keygen', 'ssh'],
    play: async (t, stage, section) => {
      const { keyFile } = await stage.login('alice');
      const server = await stage.serve(`${CONFIG}stateDir: ./state\n`);
      stage.hosts(`Host tunnel\n  HostName 127.0.0.1\n  Port ${server.port}\n  User alice\n  IdentityFile ${keyFile}`);
      const visit = async (): Promise<string> => {
        await stage.run('ssh -o UpdateHostKeys=yes -o HostKeyAlgorithms=ssh-ed25519 tunnel');
        return stage.read('known_hosts.met');
      };
      const before = await visit();
      await stage.must(section.command('ssh-keygen'));
      const mark = server.events.mark();
      stage.write(
        'sallyport.yaml',
        `${CONFIG}stateDir: ./state\nlog: { format: json, level: debug }\n${section.take('yaml')}`,
      );
      server.program.signal('SIGHUP');
      await server.events.wait('config.reloaded', {}, mark);
      const after = await visit();
      t.ok(after.startsWith(before), 'the old one is still there');
      t.match(after, stage.read('state/host_ed25519_next.pub').split(' ')[1] ?? '', 'and the new one is learned');
    },
  },
  {
    file: FILE,
    heading: "Upgrade, crash, and the first server's tunnels",
    needs: ['ssh-keygen'],
    play: async (t, stage, section) => {
      await stage.login('alice');
      const first = await stage.serve(CONFIG);
      await stage.started(section.command('sallyport serve'));
      t.same(await first.program.exited, { code: 0, signal: null }, 'the old one has let go');
    },
  },
  {
    file: 'docs/crypto.md',
    heading: 'Host certificates',
    needs: ['ssh-keygen', 'ssh'],
    play: async (t, stage, section) => {
      const { keyFile } = await stage.login('alice');
      await stage.must("ssh-keygen -q -t ed25519 -N '' -f host_ca");
      const made = await stage.serve(`${CONFIG}stateDir: ./state\n`);
      await made.program.stop();
      await stage.must(section.command('ssh-keygen'));
      const server = await stage.serve(`${CONFIG}stateDir: ./state\n${section.take('yaml')}`);
      const host = `HostName 127.0.0.1\n  Port ${server.port}\n  HostKeyAlias tunnel.example.org`;
      const login = `User alice\n  IdentityFile ${keyFile}\n  StrictHostKeyChecking yes\n  UserKnownHostsFile ${stage.path('known')}`;
      stage.hosts(`Host tunnel\n  ${host}\n  ${login}`);
      stage.write('known', put(section.inline('@cert-authority'), [['ssh-ed25519 AAAA…', stage.read('host_ca.pub')]]));
      const { stderr } = await stage.run('ssh -v tunnel');
      t.match(stderr, /Server host certificate: ssh-ed25519-cert-v01@openssh\.com/);
      t.match(stderr, /only carries tunnels/);
    },
  },
  {
    file: 'docs/proxy.md',
    heading: 'HAProxy',
    needs: ['haproxy'],
    play: async (t, stage, section) => {
      const around = 'defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n';
      const front = 'frontend ssh\n  mode tcp\n  bind 127.0.0.1:2222\n  default_backend sallyport\n';
      stage.write('haproxy.cfg', `${around}${front}${section.take('')}`);
      t.match(await stage.run('haproxy -c -f haproxy.cfg'), { code: 0 });
    },
  },
];
