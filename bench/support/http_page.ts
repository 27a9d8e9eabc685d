/** HTTP PAGE: what the target answers, and the client expects. Owns nothing. */

export const BODY = `${'Sallyport carries tunnels and nothing else. '.repeat(6)}\n`;
export const RESPONSE = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
);
