/** WORKERS: the processes that serve, and whether one of them has too much to do. */
import type { WorkerView } from '../../shared/admin.js';
import { KeyedList, make, need, type Part, setAttribute, setHidden, setText } from '../dom.js';
import { bytes, count, duration, milliseconds } from '../format.js';
import type { State } from '../state.js';

/** From here on somebody at a tunnel notices: a key's echo is late. */
const LATE_MS = 100;

export function workersView(): (state: State) => void {
  const list = new KeyedList<WorkerView>(
    need('workers-body', HTMLTableSectionElement),
    ({ id, pid }) => `${id} ${pid}`,
    workerRow,
  );
  return ({ details }) => {
    if (details === undefined) return;
    const { workers } = details.workers;
    list.update(workers);
    setHidden(need('workers-empty', HTMLParagraphElement), workers.length > 0);
    const ready = workers.filter(({ state }) => state === 'ready').length;
    setText(need('workers-count', HTMLParagraphElement), `${count(ready)} of ${count(workers.length)} ready`);
  };
}

function workerRow(): Part<WorkerView> {
  const [name, state] = [make('span', 'number'), make('span', 'state')];
  const cells = [0, 1, 2, 3].map(() => make('td', 'end number'));
  const heading = make('th', '', name, ' ', state);
  heading.scope = 'row';
  return {
    element: make('tr', '', heading, ...cells),
    update: (worker) => {
      setText(name, String(worker.id));
      setText(state, worker.state);
      setAttribute(state, 'data-state', worker.state);
      setAttribute(heading, 'title', `process ${worker.pid}, up ${duration(worker.uptimeMs)}`);
      const texts = [
        count(worker.connections),
        count(worker.channels),
        bytes(worker.bufferedBytes),
        milliseconds(worker.loopLagMs),
      ];
      for (const [index, text] of texts.entries()) {
        const cell = cells[index];
        if (cell !== undefined) setText(cell, text);
      }
      cells[3]?.classList.toggle('late', worker.loopLagMs >= LATE_MS);
    },
  };
}
