/** ADMIN: the requests of docs/admin.md, by curl at a server that runs. */
import { put } from '../../support/doc_blocks.js';
import { freePort } from '../../support/targets.js';
import type { Scene } from './scene.js';

const CONFIG = 'listen: ["127.0.0.1:0"]\nusers: { alice: { authorizedKeys: ./alice.pub } }\n';

const MOST_TRIES = 100;

export const ADMIN: readonly Scene[] = [
  {
    file: 'docs/admin.md',
    heading: 'The API',
    needs: ['ssh-keygen', 'curl'],
    play: async (t, stage, section) => {
      await stage.login('alice');
      await stage.serve(CONFIG);
      const status: unknown = JSON.parse(await stage.must(section.command('curl -s --unix-socket')));
      t.match(status, { state: 'running', workers: 1 });
      const byToken = section.command('curl -s -H');
      const events = stage.sh(section.command('curl -sN'));
      const reload = section.command('curl -s -X POST');
      // The first one may be over before the reader has come.
      for (let tries = 0; tries < MOST_TRIES && !events.stdout.includes('event: config.reloaded\n'); tries++)
        t.same(JSON.parse(await stage.must(reload)), { changed: [] });
      t.match(events.stdout, /^event: config\.reloaded$/m);

      const port = await freePort();
      stage.write('admin.token', 'only-for-this-test-and-long-enough\n');
      const admin = `admin: { listen: "127.0.0.1:${port}", tokenFile: ./admin.token }\n`;
      stage.write('sallyport.yaml', `${stage.read('sallyport.yaml')}${admin}`);
      t.match(JSON.parse(await stage.must(reload)), { changed: ['admin'] });
      const listed: unknown = JSON.parse(await stage.must(put(byToken, [['9090', String(port)]])));
      t.match(listed, { total: 0, connections: [] });
    },
  },
];
