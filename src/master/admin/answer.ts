/** ANSWER: what a request to the admin API leads to, as a value, and how it is written.
 *  Owns nothing. Every answer says that it is what it says it is, that no page may frame it or read it from elsewhere, and that
 *  nobody keeps it. */
import type { ServerResponse } from 'node:http';
import { ADMIN_ERRORS, type AdminError, type AdminErrorCode } from '../../shared/admin.js';
import { reasonOf } from '../../shared/errors.js';

export type Answer =
  | { readonly kind: 'json'; readonly status: number; readonly body: object; readonly headers?: Headers }
  /** An object of `rest`, in which there is something (what follows it is written after a comma), and, under `name`, a list that
   *  may be long. */
  | { readonly kind: 'list'; readonly name: string; readonly items: readonly object[]; readonly rest: object }
  | {
      readonly kind: 'text';
      readonly status: number;
      readonly type: string;
      readonly body: string | Buffer;
      readonly headers?: Headers;
    }
  | { readonly kind: 'empty'; readonly status: 204 }
  /** Takes the response over, its end included. */
  | { readonly kind: 'stream'; readonly type: string; readonly begin: (response: ServerResponse) => void };

export type Headers = Readonly<Record<string, string>>;

/** Of what is no page. */
const HEADERS: Headers = {
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

export const PLAIN_TEXT = 'text/plain; charset=utf-8';

export function json(body: object, status = 200): Answer {
  return { kind: 'json', status, body };
}

export function text(body: string, status = 200): Answer {
  return { kind: 'text', status, type: PLAIN_TEXT, body: `${body}\n` };
}

export function refuse(code: AdminErrorCode, message: string, headers: Headers = {}): Answer {
  const body: AdminError = { error: { code, message } };
  return { kind: 'json', status: ADMIN_ERRORS[code], body, headers };
}

/** Also for HEAD: Node leaves the body out by itself. */
export function write(answer: Answer, response: ServerResponse): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  switch (answer.kind) {
    case 'json':
      return send(response, answer, 'application/json', JSON.stringify(answer.body));
    case 'list':
      return sendList(response, answer);
    case 'text':
      return send(response, answer, answer.type, answer.body);
    case 'empty':
      response.writeHead(answer.status).end();
      return;
    case 'stream':
      response.writeHead(200, { 'Content-Type': answer.type });
      answer.begin(response);
      if (response.req.method === 'HEAD') response.end();
      return;
  }
}

/** Items that are written in one turn: a millisecond or two, where ten thousand connections in one go held up every connection that
 *  came meanwhile for up to 0.7 s, on a loaded machine. */
const ITEMS_PER_TURN = 100;

/** No further than its reader reads. */
function sendList(response: ServerResponse, { name, items, rest }: Extract<Answer, { kind: 'list' }>): void {
  if (items.length <= ITEMS_PER_TURN)
    return send(response, { status: 200 }, 'application/json', JSON.stringify({ ...rest, [name]: items }));
  response.writeHead(200, { 'Content-Type': 'application/json' });
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  response.write(`${JSON.stringify(rest).slice(0, -1)},${JSON.stringify(name)}:[`);
  let at = 0;
  const next = (): void => {
    if (response.destroyed) return;
    const texts = items.slice(at, at + ITEMS_PER_TURN).map((item) => JSON.stringify(item));
    const text = `${at === 0 ? '' : ','}${texts.join(',')}`;
    at += ITEMS_PER_TURN;
    if (at >= items.length) response.end(`${text}]}`);
    else if (response.write(text)) setImmediate(later);
    else response.once('drain', later);
  };
  /** Nobody else catches what is thrown in a later turn, and the primary would end of it. */
  const later = (): void => {
    try {
      next();
    } catch (thrown) {
      process.emitWarning(`admin API: a list failed: ${reasonOf(thrown)}`, 'SallyportWarning');
      response.destroy();
    }
  };
  next();
}

function send(
  response: ServerResponse,
  { status, headers = {} }: { readonly status: number; readonly headers?: Headers },
  type: string,
  body: string | Buffer,
): void {
  response.writeHead(status, { ...headers, 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body);
}
