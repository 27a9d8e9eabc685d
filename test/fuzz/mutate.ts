/** MUTATE: one thing wrong with a message, or two: a number at its edge, a length that lies, a text that nobody expects,
 *  fields that are missing, double or in another order; or, without regard to fields, bits and bytes.
 *  Owns nothing; all chance is the caller's. */
import { type Draft, encode, type Field, raw } from './grammar.js';
import type { Random } from './random.js';

/** Where arithmetic of 8, 15, 16, 31 and 32 bits ends, and the sizes that SSH speaks of. */
export const EDGES: readonly number[] = [
  0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 257, 1023, 1024, 32_767, 32_768, 32_769, 34_999, 35_000, 35_001, 65_535,
  65_536, 0xff_ffff, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
];

const TEXTS: readonly (string | Buffer)[] = [
  '',
  '\0',
  '\r\n',
  '\x1b[2J',
  '../../etc/passwd',
  '__proto__',
  'constructor',
  ',',
  ',,,,',
  ' ',
  '%s%n',
  '\u{202e}gpj',
  'a'.repeat(255),
  'a'.repeat(256),
  'a,'.repeat(8_000),
  Buffer.from([0xff, 0xfe, 0xc0, 0x80]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.alloc(30_000, 0x41),
];

/** Most mutations keep to the fields and the structure, so that the message gets past its first check and its connection
 *  lives to hear the next one. */
export function mutate(message: Draft, random: Random): Buffer {
  if (random.chance(0.08)) return mutateBytes(encode(message), random);
  mutateFields(message, random);
  if (random.chance(0.15)) mutateFields(message, random);
  return encode(message);
}

function mutateFields(message: Draft, random: Random): void {
  const { fields } = message;
  if (random.chance(0.02)) {
    message.type = random.chance(0.5) ? random.below(256) : (message.type + 1) & 0xff;
    return;
  }
  if (fields.length === 0 || random.chance(0.05)) {
    mutateOrder(fields, random);
    return;
  }
  mutateField(random.pick(fields), random);
}

function mutateOrder(fields: Field[], random: Random): void {
  const at = random.below(fields.length);
  const other = random.below(fields.length);
  const [one, two] = [fields[at], fields[other]];
  switch (random.below(4)) {
    case 0:
      fields.splice(at, 1);
      return;
    case 1:
      if (one !== undefined) fields.splice(other, 0, { ...one });
      return;
    case 2:
      if (one === undefined || two === undefined) return;
      fields[at] = two;
      fields[other] = one;
      return;
    default:
      fields.push(raw(random.bytes(1 + random.below(40))));
  }
}

function mutateField(field: Field, random: Random): void {
  switch (field.kind) {
    case 'byte':
      field.value = random.chance(0.5) ? field.value ^ 1 : random.below(256);
      return;
    case 'uint32':
      field.value = edgeNear(field.value, random);
      return;
    case 'raw':
      field.bytes = mutateBytes(field.bytes, random);
      return;
    case 'string':
      if (random.chance(0.07)) {
        field.says = edgeNear(field.bytes.length, random); // a length that lies
        return;
      }
      switch (random.below(4)) {
        case 0:
        case 1:
          field.bytes = Buffer.from(random.pick(TEXTS));
          break;
        case 2:
          field.bytes = random.bytes(random.below(80));
          break;
        default:
          field.bytes = mutateBytes(field.bytes, random); // a string that holds fields of its own among them
      }
      field.says = field.bytes.length;
  }
}

function edgeNear(value: number, random: Random): number {
  if (random.chance(0.3)) return (value + random.pick([-1, 1, -4, 4, -256, 256])) >>> 0;
  return random.chance(0.9) ? random.pick(EDGES) : random.below(2 ** 32);
}

/** @returns other bytes, mostly of another length; never the same memory */
export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes);
  const at = random.below(copy.length + 1);
  switch (random.below(6)) {
    case 0: // flip a bit
      if (at < copy.length) copy.writeUInt8(copy.readUInt8(at) ^ (1 << random.below(8)), at);
      return copy;
    case 1: // cut short
      return copy.subarray(0, at);
    case 2: // more behind it
      return Buffer.concat([copy, random.bytes(1 + random.below(64))]);
    case 3: // more within it
      return Buffer.concat([copy.subarray(0, at), random.bytes(1 + random.below(8)), copy.subarray(at)]);
    case 4: // a number at its edge, wherever it falls
      if (at + 4 <= copy.length) copy.writeUInt32BE(random.pick(EDGES), at);
      return copy;
    default: // a hole
      return Buffer.concat([copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + 1 + random.below(8)))]);
  }
}
