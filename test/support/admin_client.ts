/** ADMIN CLIENT: requests to an admin API, by a Unix socket or by TCP, and its stream of events.
 *  Owns its connections until the test ends. */
import http from 'node:http';
import type { Test } from 'tap';
import { deferred, within } from './deadline.js';

export type AdminPlace = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** Of what is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: what a test makes of an answer is for its matchers to judge
  readonly json: any;
}

type Headers = Readonly<Record<string, string>>;

/** @param headers `Host` may be among them */
export async function ask(
  place: AdminPlace,
  path: string,
  method = 'GET',
  headers: Headers = {},
  body?: string,
): Promise<Reply> {
  const { promise, resolve, reject } = deferred<Reply>();
  const request = http.request({ ...place, path, method, headers, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (piece: string) => {
      text += piece;
    });
    response.on('end', () => {
      const isJson = response.headers['content-type'] === 'application/json';
      const json: unknown = isJson && text !== '' ? JSON.parse(text) : undefined;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, json });
    });
  });
  request.on('error', reject);
  request.end(body);
  return await within(promise, `${method} ${path}`);
}

export interface StreamEvent {
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly data: any;
}

/** A reader of server-sent events. */
export interface EventStream {
  readonly status: number;
  readonly told: readonly StreamEvent[];
  /** Lines that are comments. */
  readonly comments: () => number;
  wait(fits: (event: StreamEvent) => boolean, what: string): Promise<StreamEvent>;
  /** When the server has ended it. */
  readonly ended: Promise<void>;
  close(): void;
}

export async function eventStream(
  t: Pick<Test, 'teardown'>,
  place: AdminPlace,
  headers: Headers = {},
): Promise<EventStream> {
  const started = deferred<http.IncomingMessage>();
  const request = http.get({ ...place, path: '/api/v1/events', headers, agent: false }, started.resolve);
  request.on('error', started.reject);
  t.teardown(() => request.destroy());
  const response = await within(started.promise, 'stream of events');
  const told: StreamEvent[] = [];
  const waiters = new Set<() => void>();
  const ended = deferred<void>();
  let comments = 0;
  let rest = '';
  response.setEncoding('utf8');
  response.on('error', () => {});
  response.on('close', () => ended.resolve());
  response.on('data', (piece: string) => {
    const blocks = (rest + piece).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const [first = '', second = ''] = block.split('\n');
      if (first.startsWith(':')) comments++;
      else told.push({ event: first.slice('event: '.length), data: JSON.parse(second.slice('data: '.length)) });
    }
    for (const look of [...waiters]) look();
  });
  return {
    status: response.statusCode ?? 0,
    told,
    comments: () => comments,
    ended: ended.promise,
    close: () => request.destroy(),
    async wait(fits, what) {
      const { promise, resolve } = deferred<StreamEvent>();
      const look = (): void => {
        const found = told.find(fits);
        if (found !== undefined) resolve(found);
      };
      waiters.add(look);
      look();
      try {
        return await within(promise, what, undefined, () => JSON.stringify(told, null, 1));
      } finally {
        waiters.delete(look);
      }
    },
  };
}
