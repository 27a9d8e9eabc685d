/** CERTIFICATE TYPE: how a certificate's type is called after that of the key in it (OpenSSH's PROTOCOL.certkeys, PROTOCOL.u2f),
 *  and how many fields of the key stand in it.
 *  Owns the table of the key types that a certificate may be for. Pure. */

const VENDOR = '@openssh.com';
const SUFFIX = '-cert-v01@openssh.com';

/** The `string` and `mpint` fields of a key's blob behind its type. */
const FIELDS: ReadonlyMap<string, number> = new Map([
  ['ssh-ed25519', 1], // the point
  ['ssh-rsa', 2], // e, n
  ['ecdsa-sha2-nistp256', 2], // the curve, the point
  ['ecdsa-sha2-nistp384', 2],
  ['ecdsa-sha2-nistp521', 2],
  ['sk-ssh-ed25519@openssh.com', 2], // the point, the application
  ['sk-ecdsa-sha2-nistp256@openssh.com', 3], // the curve, the point, the application
]);

/** `sk-ssh-ed25519@openssh.com` becomes `sk-ssh-ed25519-cert-v01@openssh.com`. Names of algorithms likewise. */
export function certificateTypeOf(name: string): string {
  return `${name.endsWith(VENDOR) ? name.slice(0, -VENDOR.length) : name}${SUFFIX}`;
}

interface KeyInside {
  readonly type: string;
  readonly fields: number;
}

const KEYS: ReadonlyMap<string, KeyInside> = new Map(
  [...FIELDS].map(([type, fields]) => [certificateTypeOf(type), { type, fields }]),
);

/** What key a certificate of this type has inside; null where it is no type of certificate that we take. */
export function keyInside(certificateType: string): KeyInside | null {
  return KEYS.get(certificateType) ?? null;
}

/** True also for types that we do not take, such as `ssh-dss-cert-v01@openssh.com`. */
export function isCertificateType(type: string): boolean {
  return /-cert-v0\d@openssh\.com$/.test(type);
}
