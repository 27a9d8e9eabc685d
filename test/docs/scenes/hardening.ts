/** HARDENING: what docs/hardening.md lets be reached, asked as it says. */
import { mkdirSync } from 'node:fs';
import { put } from '../../support/doc_blocks.js';
import type { Scene } from './scene.js';

export const HARDENING: readonly Scene[] = [
  {
    file: 'docs/hardening.md',
    heading: '1. Name what may be reached',
    needs: ['ssh-keygen'],
    play: async (t, stage, section) => {
      mkdirSync(stage.path('etc'));
      await stage.login('etc/alice');
      await stage.login('etc/reports');
      const paths = [
        ['/etc/sallyport', stage.path('etc')],
        ['/var/lib/sallyport', stage.path('state')],
      ] as const;
      stage.write('sallyport.yaml', put(section.take('yaml'), paths));
      t.match(await stage.must(section.command('sallyport check')), /good/);
      const { code, stdout } = await stage.run(section.command('sallyport explain'));
      t.equal(code, 1);
      t.match(stdout, /open db\.internal:5432: depends/);
      t.match(stdout, /open 169\.254\.169\.254:80: refused \(PROTECTED_DESTINATION\)/);
      t.match(stdout, /open 10\.20\.0\.1:22: refused \(POLICY_DENIED\)/, "another user's");
      t.match(stdout, /listen localhost:8080: refused \(POLICY_DENIED\)/);
    },
  },
];
