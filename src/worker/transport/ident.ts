/** IDENT: what we are called on the wire (RFC 4253 §4.2): constant, no version to look up holes by; and what the peer is called.
 *  Owns nothing. */

/** As it goes into the exchange hash. One for all connections; never written to. */
export const SERVER_IDENT = Buffer.from('SSH-2.0-Sallyport');
/** As it is sent. */
export const SERVER_LINE = `${SERVER_IDENT.toString('latin1')}\r\n`;

/** What a peer says that it is: `softwareversion`, with its comments behind a space.
 *  @param identLine with or without its end */
export function softwareOf(identLine: string): string {
  return identLine.trimEnd().replace(/^SSH-[^-]*-/, '');
}
