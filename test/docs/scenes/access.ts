/** ACCESS: the keys, certificates, codes and explanations of docs/access.md, by OpenSSH's ssh-keygen and a real login. */
import { put } from '../../support/doc_blocks.js';
import { codeNow } from '../../support/totp.js';
import type { Scene } from './scene.js';

const FILE = 'docs/access.md';
const SSH = ['ssh', 'ssh-keygen'] as const;
const LISTEN = 'listen: ["127.0.0.1:0"]\n';

export const ACCESS: readonly Scene[] = [
  {
    file: FILE,
    heading: 'Keys: authorized_keys as OpenSSH has it',
    needs: SSH,
    play: async (t, stage, section) => {
      const lines = section.take('');
      const names = [...lines.matchAll(/AAAAC3Nz… (\S+)/g)].map(([, name = '']) => name);
      const keys = await Promise.all(
        names.map(async (name) => {
          await stage.login(name);
          return [`AAAAC3Nz… ${name}`, stage.read(`${name}.pub`).split(' ').slice(1).join(' ').trim()] as const;
        }),
      );
      stage.write('alice.pub', put(lines, keys));
      const server = await stage.serve(`${LISTEN}users: { alice: { authorizedKeys: ./alice.pub } }\n`);
      t.same(server.events.otherLines, [], 'every line is understood');
      const login = (name: string) => stage.run(`ssh -i ${name} -p ${server.port} alice@${server.host}`);
      t.match(await login('alice@laptop'), { code: 1, stderr: /only carries tunnels/ });
      t.match(await login('staging'), { code: 255, stderr: /Permission denied/ }, 'not from 127.0.0.1');
    },
  },
  {
    file: FILE,
    heading: 'Certificates',
    needs: SSH,
    play: async (t, stage, section) => {
      await stage.must("ssh-keygen -q -t ed25519 -N '' -f id_ed25519");
      await stage.must(`${section.command('ssh-keygen -t ed25519')} -q -N ''`);
      await stage.must(section.command('ssh-keygen -s'));
      const ci = await stage.login('ci');
      const yaml = section.take('yaml');
      await stage.must("ssh-keygen -q -t ed25519 -N '' -f lost");
      const revoke = /# (ssh-keygen -k .* SPEC)$/m.exec(yaml)?.[1] ?? '';
      await stage.must(put(revoke, [['SPEC', 'lost.pub']]));
      const key = stage.read('ci.pub').split(' ')[1] ?? '';
      const server = await stage.serve(LISTEN + put(yaml, [['AAAA…', key]]));
      const login = (id: string, user: string) =>
        stage.run(`ssh -i ${id} -o IdentitiesOnly=yes -p ${server.port} ${user}@${server.host}`);
      t.match(await login('id_ed25519', 'alice'), { code: 1, stderr: /only carries tunnels/ });
      const { keyId, serial } = await server.events.wait('auth.succeeded');
      t.same([keyId, String(serial)], ['alice@laptop', '42']);
      t.match(await login('id_ed25519', 'deploy'), { code: 255 }, 'a certificate of another CA, for another name');
      t.match(await login(ci.keyFile, 'deploy'), { code: 255 }, 'the CA itself');
    },
  },
  {
    file: FILE,
    heading: 'Second factor',
    needs: SSH,
    play: async (t, stage, section) => {
      await stage.login('alice');
      const users = section.take('yaml');
      // Assignments hold for the line below: one shell.
      const secret = section.command('secret=');
      await stage.must(`${secret}\n${section.command('(umask 077; echo "otpauth')}`);
      section.skip('qrencode', 'draws on a terminal what is in the file, and nothing else depends on it');
      const server = await stage.serve(LISTEN + users);
      const uri = stage.read('alice.totp').trim();
      stage.write('askpass', '#!/bin/sh\ncat code\n');
      await stage.must('chmod 700 askpass');
      stage.write('code', `${codeNow(uri)}\n`);
      const asked = { SSH_ASKPASS: stage.path('askpass'), SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' };
      const ssh = `ssh -i alice -o BatchMode=no -o NumberOfPasswordPrompts=1 -p ${server.port} alice@${server.host}`;
      t.match(await stage.run(ssh, '', asked), { code: 1, stderr: /only carries tunnels/ });
    },
  },
  {
    file: FILE,
    heading: 'explain: who decides, and where it stands',
    needs: SSH,
    play: async (t, stage, section) => {
      const [first = '', ...said] = section.take('').trimEnd().split('\n');
      await stage.login('reports');
      await stage.login('others');
      // Each line where the explanation says that it stands.
      stage.write(
        'sallyport.yaml',
        [
          'listen: ["127.0.0.1:0"]',
          'stateDir: ./state',
          'defaults:',
          '  permitListen: ["localhost:8000-8999"]',
          'users:',
          '  alice:',
          '    permitOpen:',
          '      - "*:443"',
          '      - "*.internal:5432"',
          '    authorizedKeys: ./alice.keys',
          '',
        ].join('\n'),
      );
      const permitted = `restrict,port-forwarding,permitopen="db.internal:5432" ${stage.read('reports.pub')}`;
      stage.write('alice.keys', `# of alice\n${stage.read('others.pub')}${permitted}`);
      const command = put(first, [['$ sallyport', 'sallyport']]);
      const time = /at (\S+Z)$/.exec(said[0] ?? '')?.[1] ?? '';
      const outcome = await stage.run(`${command} --at ${time}`);
      t.equal(outcome.code, 1, 'something would be refused');
      const like = (text: string): string =>
        text.replaceAll(stage.dir, '/etc/sallyport').replaceAll(/SHA256:\S+/g, 'SHA256:…');
      t.equal(like(outcome.stdout).trimEnd(), like(said.join('\n')));
    },
  },
];
