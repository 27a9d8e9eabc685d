/** BYTES: long streams of known content. Owns nothing.
 *  The content is a cipher's key stream of a seed: cheap to make, not compressible, and never the same at two places,
 *  so that a lost, doubled or exchanged piece always changes the hash. */
import { createCipheriv, createHash } from 'node:crypto';
import { type Duplex, Readable, type Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';

export const KIB = 1024;
export const MIB = 1024 * KIB;

export interface Digest {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

const CHUNK_BYTES = 256 * KIB;

function* chunksOf(seed: string, totalBytes: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let left = totalBytes; left > 0; left -= CHUNK_BYTES) {
    yield cipher.update(left < CHUNK_BYTES ? zeros.subarray(0, left) : zeros);
  }
}

/** What `send` with the same arguments sends. */
export function digestOf(seed: string, totalBytes: number): Digest {
  const hash = createHash('sha256');
  for (const chunk of chunksOf(seed, totalBytes)) hash.update(chunk);
  return { bytes: totalBytes, sha256: hash.digest('hex') };
}

/** Writes the stream of `seed` as fast as `to` takes it; does not end `to`. Rejects when `to` closes meanwhile. */
export async function send(to: Writable, seed: string, totalBytes: number): Promise<Digest> {
  const hash = createHash('sha256');
  function* hashed(): Generator<Buffer> {
    for (const chunk of chunksOf(seed, totalBytes)) {
      hash.update(chunk);
      yield chunk;
    }
  }
  await pipeline(Readable.from(hashed(), { highWaterMark: 1 }), to, { end: false });
  return { bytes: totalBytes, sha256: hash.digest('hex') };
}

/** Everything that `from` gives until its end. Rejects when it is cut instead. */
export async function collect(from: Readable): Promise<Digest> {
  const hash = createHash('sha256');
  let bytes = 0;
  from.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  await finished(from, { writable: false });
  return { bytes, sha256: hash.digest('hex') };
}

/** Sends and receives at once, half-closing after the last byte sent (RFC 4254 §5.3 at the far ends). */
export async function exchange(
  over: Duplex,
  seed: string,
  totalBytes: number,
): Promise<{ readonly sent: Digest; readonly received: Digest }> {
  const receiving = collect(over);
  const sending = send(over, seed, totalBytes).then((sent) => {
    over.end();
    return sent;
  });
  const [sent, received] = await Promise.all([sending, receiving]);
  return { sent, received };
}
