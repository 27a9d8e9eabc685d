/** GRAMMAR: an SSH message as the fields of RFC 4251 §5 that it is made of, so that a mutation can break one of them and keep
 *  the rest. Owns nothing. */

/** One field. A string `says` a length, which need not be its own. */
export type Field =
  | { readonly kind: 'byte'; value: number }
  | { readonly kind: 'uint32'; value: number }
  | { readonly kind: 'string'; bytes: Buffer; says: number }
  /** Without a length before it: a cookie, the rest of a message. */
  | { readonly kind: 'raw'; bytes: Buffer };

export interface Draft {
  type: number;
  fields: Field[];
}

export function byte(value: number): Field {
  return { kind: 'byte', value };
}
export function flag(value: boolean): Field {
  return byte(value ? 1 : 0);
}
export function uint32(value: number): Field {
  return { kind: 'uint32', value };
}
export function string(value: string | Buffer): Field {
  const bytes = Buffer.from(value); // a copy: mutations write into it
  return { kind: 'string', bytes, says: bytes.length };
}
export function raw(bytes: Buffer): Field {
  return { kind: 'raw', bytes: Buffer.from(bytes) };
}

export function draft(type: number, ...fields: Field[]): Draft {
  return { type, fields };
}

/** The draft as it goes over the wire. */
export function encode({ type, fields }: Draft): Buffer {
  const out = Buffer.allocUnsafe(1 + fields.reduce((sum, field) => sum + lengthOf(field), 0));
  let at = out.writeUInt8(type);
  for (const field of fields) {
    switch (field.kind) {
      case 'byte':
        at = out.writeUInt8(field.value, at);
        break;
      case 'uint32':
        at = out.writeUInt32BE(field.value, at);
        break;
      case 'string':
        at = out.writeUInt32BE(field.says, at);
        out.set(field.bytes, at);
        at += field.bytes.length;
        break;
      case 'raw':
        out.set(field.bytes, at);
        at += field.bytes.length;
        break;
    }
  }
  return out;
}

function lengthOf(field: Field): number {
  switch (field.kind) {
    case 'byte':
      return 1;
    case 'uint32':
      return 4;
    case 'string':
      return 4 + field.bytes.length;
    case 'raw':
      return field.bytes.length;
  }
}
