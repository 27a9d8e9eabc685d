/** IDENT: what we are called on the wire (RFC 4253 §4.2). Owns nothing. */

/** What follows `SSH-2.0-`: constant, no version to look up holes by. */
export const SERVER_SOFTWARE = 'Sallyport';
/** The line without its end, as it goes into the exchange hash. One for all connections; never written to. */
export const SERVER_IDENT = Buffer.from(`SSH-2.0-${SERVER_SOFTWARE}`);
