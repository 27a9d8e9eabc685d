/** GATE: may this request be answered? By TCP every user of the machine, and every page that a browser of his shows, can send
 *  one; a Unix socket has an owner and a mode, and the kernel has looked at them.
 *  Owns nothing. Pure. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isLoopback, parseAddress } from '../../shared/address.js';
import type { AdminErrorCode } from '../../shared/admin.js';

export type Guard =
  | { readonly kind: 'socket' }
  /** Null: nobody knows it. */
  | { readonly kind: 'token'; readonly secret: string | null };

/** What the request is for. */
export interface Purpose {
  /** Anybody may have it: the page before it knows the token, and what load balancers ask. */
  readonly isOpen: boolean;
  /** Something changes by it. */
  readonly isChange: boolean;
}

export type Denial = { readonly code: AdminErrorCode; readonly message: string };

/** @returns why not, or null */
export function denialOf(guard: Guard, headers: IncomingHttpHeaders, { isOpen, isChange }: Purpose): Denial | null {
  const { host = '', origin, authorization, 'sec-fetch-site': site } = headers;
  // A name of an attacker's can be made to lead to 127.0.0.1 (DNS rebinding): then the page of his is of one origin with us. A
  // socket as well, where somebody has made a port of it (`ssh -L 9090:/…/admin.sock`): there nothing else asks who it is.
  if (!isHere(host))
    return { code: 'FORBIDDEN', message: `Host is ${JSON.stringify(host)}, allowed: localhost and loopback addresses` };
  if (isChange && origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`)
    return { code: 'FORBIDDEN', message: 'a page of another origin may change nothing' };
  // What another site's page asks for it cannot read, but it can ask without end, by a picture that loads again and again, and a look
  // at ten thousand connections costs a third of a second. Browsers say so of every request (Fetch Metadata); nobody else has to.
  if (!isOpen && isElsewhere(site))
    return { code: 'FORBIDDEN', message: 'a page of another origin may ask for nothing but the page' };
  if (guard.kind === 'token' && !isOpen && !isBearer(authorization, guard.secret))
    return {
      code: 'UNAUTHORIZED',
      message: 'allowed: Authorization: Bearer TOKEN, with the secret of admin.tokenFile',
    };
  return null;
}

function isHere(host: string): boolean {
  const name = /^(?:\[([^\]]+)\]|([^:]+))(?::\d{1,5})?$/.exec(host.toLowerCase());
  const text = name?.[1] ?? name?.[2] ?? '';
  if (text === 'localhost') return true;
  const address = parseAddress(text);
  return address !== null && isLoopback(address);
}

/** Another port of this machine is `same-site`; who types an address or follows a bookmark comes from `none`. */
function isElsewhere(site: string | string[] | undefined): boolean {
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

/** Takes as long for every wrong one: digests are compared, whatever their lengths were. */
function isBearer(authorization: string | undefined, secret: string | null): boolean {
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(token), digest(secret ?? '')) && secret !== null && token !== '';
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
