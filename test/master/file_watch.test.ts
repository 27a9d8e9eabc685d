/** When files that the config names are read again: by a clock of the test's own, and once by the file system. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { loadObject } from '../../src/library/load_config.js';
import { FileWatch } from '../../src/master/file_watch.js';
import { FakeClock } from '../support/fake_clock.js';
import { tempDir } from '../support/temp.js';

/** Lets answers that are there be taken. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await setImmediate();
}

function watched(files: Map<string, string>) {
  const clock = new FakeClock();
  const seen = { changes: 0, looks: 0 };
  const watch = new FileWatch({
    after: (...args) => clock.after(...args),
    look: async (path) => {
      seen.looks++;
      return files.get(path) ?? 'unreadable';
    },
    onChange: () => void seen.changes++,
  });
  watch.watch(new Map(files), 2_000);
  const pass = async (byMs: number): Promise<void> => {
    clock.advance(byMs);
    await settled();
  };
  return { watch, seen, pass, clock };
}

t.test('a change is told once, when it is over', async (t) => {
  const files = new Map([
    ['a', '1'],
    ['b', '1'],
  ]);
  const { seen, pass } = watched(files);
  await pass(2_000);
  await pass(2_000);
  t.equal(seen.changes, 0);
  t.equal(seen.looks, 4);
  files.set('a', '2');
  await pass(1_999);
  t.equal(seen.looks, 4, 'not before its time');
  await pass(1);
  t.equal(seen.changes, 0, 'it may go on changing');
  files.set('a', '3');
  await pass(250);
  t.equal(seen.changes, 0, 'and it did');
  await pass(250);
  t.equal(seen.changes, 1);
  await pass(2_000);
  await pass(2_000);
  t.equal(seen.changes, 1, 'also where it was of no use: a broken file is told once');
  files.delete('b');
  await pass(2_000);
  await pass(250);
  t.equal(seen.changes, 2, 'one that is gone');
  files.set('b', '1');
  files.set('a', '4');
  await pass(2_000);
  files.set('a', '3');
  await pass(250);
  t.equal(seen.changes, 2);
  await pass(250);
  t.equal(seen.changes, 3, 'b is back');
});

t.test('a file that never comes to rest does not hold up what is read of others', async (t) => {
  const files = new Map([
    ['restless', '0'],
    ['revoked', '1'],
  ]);
  const { seen, pass } = watched(files);
  files.set('revoked', '2');
  await pass(1_750);
  for (let look = 1; look <= 20; look++) {
    files.set('restless', String(look));
    await pass(250);
    if (look === 9) t.equal(seen.changes, 0);
  }
  t.equal(seen.changes, 1, 'it is read after ten looks, and not at each one from then on');
});

t.test('a change that takes itself back is none', async (t) => {
  const files = new Map([['a', '1']]);
  const { seen, pass } = watched(files);
  files.set('a', '2');
  await pass(2_000);
  files.set('a', '1');
  await pass(250);
  t.equal(seen.looks, 2);
  await pass(250);
  t.equal(seen.looks, 2, 'back to the long step');
  await pass(1_750);
  t.same([seen.looks, seen.changes], [3, 0]);
});

t.test('other files, another step, and the end', async (t) => {
  const files = new Map([['a', '1']]);
  const { seen, pass, watch, clock } = watched(files);
  files.set('a', '2');
  await pass(2_000);
  watch.watch(new Map(files), 500);
  await pass(500);
  await pass(500);
  t.same([seen.looks, seen.changes], [3, 0], 'it has been read since');
  files.set('a', '3');
  clock.advance(500);
  watch.end(); // while it looks
  await settled();
  t.equal(clock.pending, 0);
  watch.watch(new Map(files), 0);
  t.equal(clock.pending, 0, 'off');
  watch.watch(new Map(), 500);
  t.equal(clock.pending, 0, 'nothing to look at');
});

t.test('what the file system says of files that are written, replaced, linked elsewhere, gone', async (t) => {
  const dir = tempDir(t);
  const [file, folder] = [join(dir, 'keys'), join(dir, 'folder')];
  mkdirSync(join(dir, 'one'));
  mkdirSync(join(dir, 'two'));
  for (const place of ['one', 'two']) writeFileSync(join(dir, place, 'bob'), '# same size\n');
  symlinkSync('one', folder);
  writeFileSync(file, '# nobody\n');
  const users = { alice: { authorizedKeys: file }, bob: { authorizedKeys: join(folder, 'bob') } };
  const clock = new FakeClock();
  let told = (): void => {};
  const watch = new FileWatch({ after: (...args) => clock.after(...args), onChange: () => told() });
  t.teardown(() => watch.end());
  const files = (): ReadonlyMap<string, string> => loadObject({ users }, 'c').files;
  t.same([...files().keys()], [file, join(folder, 'bob')]);
  for (const [name, change] of [
    ['written', () => writeFileSync(file, '# somebody\n')],
    [
      'replaced',
      () => {
        writeFileSync(`${file}.new`, '# somebody\n');
        renameSync(`${file}.new`, file);
      },
    ],
    [
      'a link on the way',
      () => {
        symlinkSync('two', `${folder}.new`);
        renameSync(`${folder}.new`, folder);
      },
    ],
    ['gone', () => rmSync(file)],
    ['back', () => writeFileSync(file, '# nobody\n')],
  ] as const) {
    watch.watch(files(), 1_000);
    change();
    const changed = new Promise<void>((resolve) => {
      told = resolve;
    });
    // The looks are asked of the real file system: the clock goes on until both have been answered.
    let over = false;
    void changed.then(() => {
      over = true;
    });
    while (!over) {
      clock.advance(1_000);
      await setImmediate();
    }
    t.pass(name);
  }
});
