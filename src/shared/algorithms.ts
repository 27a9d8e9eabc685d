/** ALGORITHMS: the names of what keys are agreed with and data is protected with, in the order of our preference (RFC 4253 §7.1).
 *  The client's order decides; ours matters to readers and auditors. Owns the choice: the config may narrow it to these names
 *  and knows no others. Data only. */

/** No finite-field Diffie-Hellman: 3 to 13 ms of CPU for whoever asks. */
export const KEX_ALGORITHMS = [
  'mlkem768x25519-sha256',
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256', // clients in FIPS mode, and old Java ones, know nothing better
] as const;

/** No CBC. Dropbear and Paramiko 2.12 know no GCM. */
export const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
] as const;

/** For the ciphers that bring no tag of their own. */
export const DEFAULT_MACS = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'] as const;

/** The last two cover the plain text: for clients that know no encrypt-then-MAC. No SHA-1. */
export const MACS = [...DEFAULT_MACS, 'hmac-sha2-256', 'hmac-sha2-512'] as const;

/** Signatures of host keys; offered are those that the host keys at hand can make (RFC 8332 for RSA; SHA-1 never). */
export const PLAIN_HOST_KEY_ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
] as const;

const CERTIFICATE = '-cert-v01@openssh.com';

/** The same signatures with a certificate in the place of the key (OpenSSH's PROTOCOL.certkeys); offered where there is one.
 *  They stand first, as in OpenSSH's own lists. */
export const HOST_KEY_ALGORITHMS = [
  'ssh-ed25519-cert-v01@openssh.com',
  'ecdsa-sha2-nistp256-cert-v01@openssh.com',
  'ecdsa-sha2-nistp384-cert-v01@openssh.com',
  'ecdsa-sha2-nistp521-cert-v01@openssh.com',
  'rsa-sha2-512-cert-v01@openssh.com',
  'rsa-sha2-256-cert-v01@openssh.com',
  ...PLAIN_HOST_KEY_ALGORITHMS,
] as const;

/** `rsa-sha2-512` with a certificate. */
export function withCertificate(algorithm: string): string {
  return `${algorithm}${CERTIFICATE}`;
}

/** What signs: `rsa-sha2-512` for `rsa-sha2-512-cert-v01@openssh.com`, and any other name as it is. */
export function withoutCertificate(algorithm: string): string {
  return algorithm.endsWith(CERTIFICATE) ? algorithm.slice(0, -CERTIFICATE.length) : algorithm;
}
