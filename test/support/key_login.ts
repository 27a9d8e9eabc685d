/** KEY LOGIN: a raw client that logs in by a key or a certificate that the test has made itself. Owns nothing. */
import { concatFields, MSG, message } from '../../src/shared/protocol.js';
import type { RawClient } from './raw_client.js';

/** What a client shows, and how it signs. */
export interface Shown {
  /** As the request names it. */
  readonly algorithm: string;
  readonly blob: Buffer;
  sign(data: Buffer): Buffer;
}

/** Agrees on keys, asks for the service and tries. @returns true when it is in */
export async function loginBy(client: RawClient, user: string, { algorithm, blob, sign }: Shown): Promise<boolean> {
  await client.ready;
  client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  await client.take(MSG.SERVICE_ACCEPT);
  const fields = [user, 'ssh-connection', 'publickey', true, algorithm, blob] as const;
  const signed = concatFields([client.sessionId, { raw: message(MSG.USERAUTH_REQUEST, ...fields) }]);
  client.send(message(MSG.USERAUTH_REQUEST, ...fields, sign(signed)));
  return (await client.takeFirst([MSG.USERAUTH_SUCCESS, MSG.USERAUTH_FAILURE]))[0] === MSG.USERAUTH_SUCCESS;
}
