/** WEBHOOK CLIENT: one question to the login service by HTTP, one text back. The only room that speaks HTTP.
 *  Owns the kept-alive connections of this worker and the queue before them. Never rejects, and never takes longer than
 *  `timeoutMs`, waiting included. What it says of a failure holds no part of the question or of the answer. */
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { errnoOf, reasonOf } from '../../shared/errors.js';
import { type After, after, type Cancel } from '../../shared/timer.js';
import type { WebhookTarget } from '../../shared/webhook_url.js';

export interface WebhookClientOptions {
  readonly target: WebhookTarget;
  /** Sent as `Authorization: Bearer …`; null: none. */
  readonly token: string | null;
  /** From the question to the end of the answer, waiting included. */
  readonly timeoutMs: number;
  /** Questions under way at a time, each on a connection of its own. */
  readonly maxConnections: number;
  /** Questions that may wait for one of these; one more is answered POOL_BUSY at once. */
  readonly maxWaiting: number;
  /** Default: the real clock. */
  readonly after?: After;
}

/** `detail` completes the sentence "the webhook …". */
export type WebhookReply =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly code: 'POOL_BUSY' | 'WEBHOOK_FAILED'; readonly detail: string };

/** A thousand patterns are 30 KiB. */
export const MAX_ANSWER_BYTES = 64 * 1024;
/** Most services close an idle connection after 5 to 75 s. Where they say when, Node obeys. */
const IDLE_MS = 30_000;

interface Job {
  readonly body: Buffer;
  readonly settle: (reply: WebhookReply) => void;
  /** The last try, once there is one. */
  request: ClientRequest | null;
  done: boolean;
}

export class WebhookClient {
  readonly #options: WebhookClientOptions;
  readonly #after: After;
  readonly #agent: HttpAgent;
  readonly #waiting = new Set<Job>();
  readonly #running = new Set<Job>();
  #retired = false;
  #closed = false;

  constructor(options: WebhookClientOptions) {
    this.#options = options;
    this.#after = options.after ?? after;
    const { target, maxConnections: maxSockets } = options;
    const pool = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets, timeout: IDLE_MS };
    // The environment may say that no certificate is to be looked at; that is not for logins.
    this.#agent = isSecure(target) ? new HttpsAgent({ ...pool, rejectUnauthorized: true }) : new HttpAgent(pool);
  }

  /** Questions that wait for a connection. */
  get waiting(): number {
    return this.#waiting.size;
  }
  /** Questions that are under way. */
  get running(): number {
    return this.#running.size;
  }

  /** POSTs `body`, which is JSON.
   *  @param signal the peer has left: its question leaves the queue, or its connection is cut
   *  @returns the text of an answer 200 in JSON, or why there is none */
  ask(body: string, signal: AbortSignal): Promise<WebhookReply> {
    const { maxConnections, maxWaiting, timeoutMs } = this.#options;
    if (this.#closed || signal.aborted) return Promise.resolve(GONE);
    if (this.#running.size >= maxConnections && this.#waiting.size >= maxWaiting)
      return Promise.resolve({ ok: false, code: 'POOL_BUSY', detail: 'is asked too much at once' });
    return new Promise((resolve) => {
      const onAbort = (): void => job.settle(GONE);
      const job: Job = {
        body: Buffer.from(body),
        request: null,
        done: false,
        settle: (reply) => {
          if (job.done) return;
          job.done = true;
          cancelTimer();
          signal.removeEventListener('abort', onAbort);
          if (!reply.ok) job.request?.destroy(); // its connection is in no state to be used again
          this.#waiting.delete(job);
          if (this.#running.delete(job)) this.#fill();
          resolve(reply);
        },
      };
      const cancelTimer: Cancel = this.#after(timeoutMs, () => job.settle(failed(`gave no answer in ${timeoutMs} ms`)));
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(job);
      this.#fill();
    });
  }

  /** Keeps no connection that has nothing to do, from now on. What is asked is still answered. */
  retire(): void {
    this.#retired = true;
    if (this.#running.size === 0) this.#agent.destroy();
  }

  /** Cuts all that is under way and takes no more. */
  close(): void {
    this.#closed = true;
    for (const job of [...this.#waiting, ...this.#running]) job.settle(GONE);
    this.#agent.destroy();
  }

  #fill(): void {
    for (const job of this.#waiting) {
      if (this.#running.size >= this.#options.maxConnections) return;
      this.#waiting.delete(job);
      this.#running.add(job);
      this.#send(job, this.#agent);
    }
    if (this.#retired && this.#running.size === 0) setImmediate(() => this.retire()); // its connection is about to be idle
  }

  #send(job: Job, agent: HttpAgent | false): void {
    const { target, token } = this.#options;
    let request: ClientRequest;
    try {
      request = (isSecure(target) ? httpsRequest : httpRequest)({
        ...placeOf(target),
        agent,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': job.body.length,
          accept: 'application/json',
          'accept-encoding': 'identity',
          'user-agent': 'sallyport',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(isSecure(target) ? { rejectUnauthorized: true } : {}),
      });
    } catch (thrown) {
      job.settle(failed(`cannot be asked: ${reasonOf(thrown)}`));
      return;
    }
    let answered = false;
    job.request = request;
    request.on('response', (response) => {
      answered = true;
      receive(response, job);
    });
    request.on('error', (error) => {
      // The service may close a connection just when it is used again. It has not answered, so it is asked anew, once, by a
      // new connection; it may have heard the question twice.
      const stale = agent !== false && request.reusedSocket && !answered && isClosing(error);
      if (stale && !job.done) this.#send(job, false);
      else job.settle(failed(`cannot be reached: ${errorText(error)}`));
    });
    request.on('close', () => {
      if (job.request === request && !answered) job.settle(failed('closed the connection without an answer'));
    });
    request.end(job.body);
  }
}

/** A redirect, too, is an answer of the wrong status: a login goes where the config says. */
function receive(response: IncomingMessage, job: Job): void {
  const fail = (detail: string): void => job.settle(failed(detail));
  const wrong = whatIsWrong(response);
  if (wrong !== null) {
    fail(wrong);
    return;
  }
  const chunks: Buffer[] = [];
  let length = 0;
  response.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) fail(TOO_LARGE);
    else chunks.push(chunk);
  });
  response.on('end', () => {
    if (!response.complete) return fail('broke off its answer');
    const text = decode(Buffer.concat(chunks, length));
    if (text === null) fail('answered what is not UTF-8');
    else job.settle({ ok: true, text });
  });
  response.on('error', () => fail('broke off its answer'));
  response.on('close', () => fail('broke off its answer'));
}

const TOO_LARGE = `answered more than ${MAX_ANSWER_BYTES} bytes`;

function whatIsWrong({ statusCode = 0, headers }: IncomingMessage): string | null {
  if (statusCode >= 300 && statusCode < 400) return `answered ${statusCode}: redirects are not followed`;
  if (statusCode !== 200) return `answered ${statusCode}, wanted 200`;
  const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = headers;
  if (!/^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(type))
    return 'answered in another content type than application/json';
  if (encoding !== 'identity') return 'answered in a content encoding, which it was not asked for';
  return Number(headers['content-length'] ?? 0) > MAX_ANSWER_BYTES ? TOO_LARGE : null;
}

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function isSecure(target: WebhookTarget): boolean {
  return target.kind === 'tcp' && target.secure;
}

function placeOf(target: WebhookTarget): object {
  if (target.kind === 'unix') return { socketPath: target.socketPath, path: target.path, host: 'localhost' };
  return { host: target.host, port: target.port, path: target.path };
}

/** The other side has closed before it said a word. */
function isClosing(error: Error): boolean {
  return ['ECONNRESET', 'EPIPE', 'ECONNABORTED'].includes(errnoOf(error) ?? '');
}

/** All addresses of a name fail with an error that has no text of its own. */
function errorText(error: Error): string {
  return error.message || (errnoOf(error) ?? 'unknown error');
}

function failed(detail: string): WebhookReply {
  return { ok: false, code: 'WEBHOOK_FAILED', detail };
}

const GONE: WebhookReply = failed('was not waited for: the connection has ended');
