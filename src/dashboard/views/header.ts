/** HEADER: which server this is, how it is, and the two orders that it takes. */
import { make, need, setAttribute, setText } from '../dom.js';
import { duration } from '../format.js';
import type { State } from '../state.js';

export interface HeaderActions {
  readonly drain: () => void;
  readonly reload: () => void;
}

export function headerView(actions: HeaderActions): (state: State) => void {
  const pill = need('pill', HTMLParagraphElement);
  const drain = need('drain', HTMLButtonElement);
  const reload = need('reload', HTMLButtonElement);
  const facts = need('facts', HTMLParagraphElement);
  const [uptime, version, listeners] = [make('span', 'number'), make('span', ''), make('span', 'place')];
  facts.append(uptime, version, listeners);
  drain.addEventListener('click', actions.drain);
  reload.addEventListener('click', actions.reload);
  return ({ link, status }) => {
    const [state, word] = pillOf(link.kind, status?.state);
    setAttribute(pill, 'data-state', state);
    setText(pill, word);
    drain.disabled = link.kind !== 'live' || status?.state === 'draining';
    reload.disabled = link.kind !== 'live';
    if (status === undefined) return;
    setText(uptime, `up ${duration(status.uptimeMs)}`);
    setText(version, `version ${status.version}, Node ${status.node.replace(/^v/, '')}, process ${status.pid}`);
    setText(listeners, status.listeners.join('  '));
    document.title = `${status.connections} · Sallyport`;
  };
}

function pillOf(link: State['link']['kind'], state: 'running' | 'draining' | undefined): readonly [string, string] {
  if (link === 'lost') return ['lost', 'No answer'];
  if (link === 'locked') return ['locked', 'Locked'];
  if (state === undefined) return ['connecting', 'Connecting'];
  return state === 'draining' ? ['draining', 'Draining'] : ['running', 'Running'];
}
