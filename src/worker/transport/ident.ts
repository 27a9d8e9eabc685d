/** IDENT: what we are called on the wire (RFC 4253 §4.2). Owns nothing. */

/** What follows `SSH-2.0-`: constant, no version to look up holes by. */
export const SERVER_SOFTWARE = 'Sallyport';
