/** NOTICES: what is wrong, in words, and what one can do about it. Owns nothing. Pure. */
import { clock, some } from './format.js';
import type { State } from './state.js';

export interface Notice {
  readonly kind: 'bad' | 'warn';
  readonly title: string;
  readonly text: string;
  readonly button?: { readonly label: string; readonly does: 'retry' | 'unlock' };
}

/** The worst of what there is to say. */
export function noticeOf({ link, status, details }: State): Notice | undefined {
  if (link.kind === 'lost') {
    const stale = link.heardAtMs === 0 ? '' : ` What you see is as it was at ${clock(link.heardAtMs)}.`;
    const gone = status?.state === 'draining' ? ' It was draining, and may have ended.' : '';
    return {
      kind: 'bad',
      title: 'The server does not answer:',
      text: `${link.why}.${gone}${stale} Next try at ${clock(link.nextTryAtMs)}.`,
      button: { label: 'Try now', does: 'retry' },
    };
  }
  if (link.kind === 'locked')
    return {
      kind: 'warn',
      title: 'Locked.',
      text: 'The server asks for its token.',
      button: { label: 'Enter token', does: 'unlock' },
    };
  if (status?.state === 'draining')
    return {
      kind: 'warn',
      title: 'Draining.',
      text: `No new connections are taken; ${some(status.connections, 'is', 'are')} left.`,
    };
  const silent = details?.connections.silentWorkers ?? [];
  if (silent.length > 0)
    return {
      kind: 'warn',
      title: `No answer from worker ${silent.join(', ')}:`,
      text: 'its connections are missing below.',
    };
  return undefined;
}
