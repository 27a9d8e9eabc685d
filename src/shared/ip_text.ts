/** IP TEXT: the bytes of an address from its text, and back.
 *  Owns nothing; called by address.ts. Our own on purpose: ipaddr.js reads `::127.0.0.1` as `127.0.0.1`, which the kernel
 *  does not, and a difference between the address that is checked and the one that is dialled is a hole. */

const NUMBER = /^(?:0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/;

/** The rules of inet_aton, which getaddrinfo follows: one to four numbers, hexadecimal with `0x` and octal with `0`,
 *  the last of which fills all the bytes that are left.
 *  `parts` are the texts between the dots, in lower case; null where they are no address. */
export function ipv4Bytes(parts: readonly string[]): number[] | null {
  if (parts.length > 4 || !parts.every((part) => NUMBER.test(part))) return null;
  const numbers = parts.map((part) =>
    part.startsWith('0x') ? Number.parseInt(part.slice(2), 16) : Number.parseInt(part, part.startsWith('0') ? 8 : 10),
  );
  const last = numbers.pop() ?? 0;
  const lastBytes = 4 - numbers.length;
  if (numbers.some((number) => number > 255) || last >= 256 ** lastBytes) return null;
  for (let index = lastBytes - 1; index >= 0; index--) numbers.push(Math.floor(last / 256 ** index) % 256);
  return numbers;
}

/** The 16 bytes of a text that has passed node's isIPv6 (which reads as inet_pton does) and has no zone. */
export function ipv6Bytes(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const front = hextets(head);
  const back = tail === undefined ? [] : hextets(tail);
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
}

function hextets(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((part) => {
    if (part.includes('.')) return part.split('.').map(Number);
    const value = Number.parseInt(part, 16);
    return [value >> 8, value & 0xff];
  });
}

/** RFC 5952 §4: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
export function ipv6Text(bytes: readonly number[]): string {
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  let longest = { start: 0, length: 1 };
  let start = 0;
  for (let at = 0; at < 8; at++) {
    if (groups[at] !== '0') start = at + 1;
    else if (at + 1 - start > longest.length) longest = { start, length: at + 1 - start };
  }
  if (longest.length < 2) return groups.join(':');
  return `${groups.slice(0, longest.start).join(':')}::${groups.slice(longest.start + longest.length).join(':')}`;
}
