/** MPINT: RFC 4251 §5 by way of a number: another way to the bytes than that of src/shared/protocol.ts. Owns nothing. */

/** @param bytes a number that is not negative, in network order. @returns its mpint, without the length */
export function mpintOf(bytes: Uint8Array): Buffer {
  const digits = BigInt(`0x0${Buffer.from(bytes).toString('hex')}`).toString(16);
  if (digits === '0') return Buffer.alloc(0);
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  return Buffer.from(/^[89a-f]/.test(even) ? `00${even}` : even, 'hex');
}
