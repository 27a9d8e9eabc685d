/** MAIN: the page at work: asks, reduces, draws. Owns the one state, and the order of what is asked. */
import type { ConnectionView } from '../shared/admin.js';
import { type Answer, Api } from './api.js';
import { askToken, confirm, isAsking, tell } from './dialogs.js';
import { some } from './format.js';
import { detailsMs, Pause, retryMs, STATUS_MS } from './pace.js';
import { INITIAL, type News, type Query, reduce, type State } from './state.js';
import { chartsView } from './views/charts.js';
import { forwardsView } from './views/forwards.js';
import { headerView } from './views/header.js';
import { announce, noticeView } from './views/notice.js';
import { refusalsView } from './views/refusals.js';
import { tilesView } from './views/tiles.js';
import { tunnelsView } from './views/tunnels.js';
import { usersView } from './views/users.js';
import { workersView } from './views/workers.js';

const api = new Api((path, init) => fetch(path, init), sessionStorage);
const pause = new Pause();
let state: State = INITIAL;
let failures = 0;
/** When the lists are to be asked for, by performance.now(). */
let detailsDueMs = 0;

const views: readonly ((state: State) => void)[] = [
  noticeView({ retry: () => pause.wake(), unlock: () => void unlock() }),
  headerView({ drain: () => void drain(), reload: () => void reload() }),
  tilesView(),
  chartsView(),
  tunnelsView({
    ask,
    sort: (key) => take({ type: 'sorted', key }),
    fold: (id) => take({ type: 'folded', id }),
    end: (connection) => void end(connection),
  }),
  forwardsView(),
  usersView({ only: (user) => ask({ search: '', user }) }),
  workersView(),
  refusalsView(),
];

function take(news: News): void {
  state = reduce(state, news);
  document.body.dataset.link = state.link.kind;
  for (const view of views) view(state);
}

/** One look, then a wait, for as long as the page lives. A page that nobody sees asks nothing. */
async function watch(): Promise<never> {
  for (;;) {
    if (document.hidden) {
      await pause.wait(retryMs(Number.POSITIVE_INFINITY));
      continue;
    }
    const answered = await look();
    failures = answered ? 0 : failures + 1;
    await pause.wait(answered ? STATUS_MS : retryMs(failures));
  }
}

/** @returns did the server answer? */
async function look(): Promise<boolean> {
  const status = await api.status();
  if (!status.ok) return missed(status);
  take({ type: 'status', status: status.value, atMs: Date.now() });
  if (!state.historyComplete) {
    const history = await api.history();
    if (!history.ok) return missed(history);
    take({ type: 'history', history: history.value });
  }
  if (performance.now() < detailsDueMs) return true;
  detailsDueMs = performance.now() + detailsMs(status.value.connections);
  return lookAtDetails();
}

async function lookAtDetails(): Promise<boolean> {
  const { query } = state;
  const [connections, forwards, workers, refusals] = await Promise.all([
    api.connections(query),
    api.forwards(),
    api.workers(),
    api.refusals(),
  ]);
  for (const answer of [connections, forwards, workers, refusals]) if (!answer.ok) return missed(answer);
  if (!connections.ok || !forwards.ok || !workers.ok || !refusals.ok) return false;
  // Somebody has typed on meanwhile: the next answer is under way.
  if (state.query !== query) return true;
  take({
    type: 'details',
    details: {
      query,
      connections: connections.value,
      forwards: forwards.value,
      workers: workers.value,
      refusals: refusals.value,
    },
  });
  return true;
}

function missed(answer: Exclude<Answer<unknown>, { ok: true }>): false {
  if (answer.kind === 'locked') {
    const first = state.link.kind !== 'locked';
    take({ type: 'locked', refused: answer.refused });
    // Asked for once by itself; who has said no is not asked again until he wants to.
    if ((first || answer.refused) && !isAsking()) void unlock();
    return false;
  }
  const nextTryAtMs = Date.now() + retryMs(failures + 1);
  take({ type: 'lost', nextTryAtMs, why: answer.why });
  return false;
}

async function unlock(): Promise<void> {
  const token = await askToken(state.link.kind === 'locked' && state.link.refused);
  api.setToken(token);
  failures = 0;
  detailsDueMs = 0;
  pause.wake();
}

function ask(query: Query): void {
  take({ type: 'asked', query });
  detailsDueMs = 0;
  pause.wake();
}

async function end({ id, user = 'nobody yet', peer, channelsTotal }: ConnectionView): Promise<void> {
  const meant = await confirm({
    title: `End connection ${id}?`,
    text: [
      `It is ${user}’s, from ${peer}. ${some(channelsTotal, 'channel ends', 'channels end')} with it. The client may connect again.`,
    ],
    yes: 'End connection',
    danger: true,
  });
  if (!meant) return;
  const answer = await api.end(id);
  const gone = !answer.ok && answer.kind === 'refused' && answer.status === 404;
  if (!answer.ok && !gone) return failed('The connection was not ended', answer);
  take({ type: 'ended', id });
  announce(gone ? `Connection ${id} had already ended.` : `Connection ${id} has ended.`);
}

async function drain(): Promise<void> {
  const meant = await confirm({
    title: 'Drain this server?',
    text: [
      'From now on it takes no new connections. Those that are open may finish until timeouts.drain, then they are ended and the server exits.',
      'This cannot be taken back.',
    ],
    yes: 'Drain',
    danger: true,
  });
  if (!meant) return;
  const answer = await api.drain();
  if (!answer.ok) return failed('The server does not drain', answer);
  announce(`Draining. ${some(answer.value.connections, 'connection is', 'connections are')} left.`);
  pause.wake();
}

async function reload(): Promise<void> {
  const meant = await confirm({
    title: 'Reload the config?',
    text: [
      'Config, keys and certificates are read again, and take effect as one step, or not at all if there is a mistake in them.',
      'What the new config no longer permits is ended.',
    ],
    yes: 'Reload',
    danger: false,
  });
  if (!meant) return;
  const answer = await api.reload();
  if (!answer.ok) return failed('Nothing was reloaded: what was in force stays', answer);
  const { changed } = answer.value;
  await tell('Reloaded', changed.length === 0 ? 'Nothing had changed.' : 'Now in force, other than before:', changed);
}

async function failed(title: string, answer: Exclude<Answer<unknown>, { ok: true }>): Promise<void> {
  if (answer.kind === 'locked') return pause.wake();
  if (answer.kind === 'lost')
    return await tell(
      'It is not known whether that was done',
      `There is no answer: ${answer.why}. The server may have done it all the same: its log says so.`,
      [],
    );
  await tell(title, answer.why, answer.errors);
}

document.addEventListener('visibilitychange', () => {
  // Samples that nobody saw are missing from the charts until the history is asked for.
  take({ type: 'rested' });
  pause.wake();
});
take({ type: 'rested' });
void watch();
