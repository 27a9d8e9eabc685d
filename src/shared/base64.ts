/** BASE64: is a text what some bytes are written as, and nothing else? Buffer passes over what is no base64, so that two texts
 *  could mean the same bytes. Owns nothing. Pure. */

/** Base64 without padding (PHC strings). */
export function isUnpaddedBase64(text: string): boolean {
  return withoutPadding(Buffer.from(text, 'base64').toString('base64')) === text;
}

export function withoutPadding(base64: string): string {
  return base64.replace(/=+$/, '');
}
