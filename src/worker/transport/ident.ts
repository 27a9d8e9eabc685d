/** IDENT: what we are called on the wire (RFC 4253 §4.2): constant, no version to look up holes by. Owns nothing. */

/** As it goes into the exchange hash. One for all connections; never written to. */
export const SERVER_IDENT = Buffer.from('SSH-2.0-Sallyport');
/** As it is sent. */
export const SERVER_LINE = `${SERVER_IDENT.toString('latin1')}\r\n`;
