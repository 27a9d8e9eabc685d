/** STREAMS: the pattern written to and read from any stream, for as long as it is wanted. Owns nothing. */
import type { Readable, Writable } from 'node:stream';
import { type Digest, PatternSink, PatternSource } from './pattern.js';

/** Writes the pattern while `goesOn()`, then what is under way, and does not end the stream. @returns what was written */
export async function sendPattern(stream: Writable, goesOn: () => boolean): Promise<Digest> {
  const source = new PatternSource(Number.MAX_SAFE_INTEGER);
  // Two blocks under way at most: the source fills a block again after the one behind it.
  let before: Promise<void> = Promise.resolve();
  while (goesOn()) {
    const block = source.next();
    if (block === null) break;
    const written = new Promise<void>((resolve, reject) =>
      stream.write(block, (error) => (error ? reject(error) : resolve())),
    );
    written.catch(() => {}); // heard below, or never where the one before it failed
    await before;
    before = written;
  }
  await before;
  return source.digest;
}

/** Reads to the end. @param onBytes told of every chunk's length */
export function receivePattern(stream: Readable, onBytes: (bytes: number) => void): Promise<Digest> {
  const sink = new PatternSink();
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      sink.take(chunk);
      onBytes(chunk.length);
    });
    stream.once('end', () => resolve(sink.digest));
    stream.once('error', reject);
  });
}

/** A reader of so many bytes at a time, over one listener: a listener per answer would cost more than the answer. */
export class Exchange {
  readonly #stream: Readable & Writable;
  #waiting: { readonly bytes: number; readonly resolve: (answer: Buffer) => void } | undefined;
  #got: Buffer = Buffer.alloc(0);

  constructor(stream: Readable & Writable) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => {
      this.#got = this.#got.length === 0 ? chunk : Buffer.concat([this.#got, chunk]);
      this.#deliver();
    });
  }

  /** Sends a question and waits for the answer, whose length is known. Never settles where the stream ends before. */
  ask(question: Buffer, answerBytes: number): Promise<Buffer> {
    return new Promise((resolve) => {
      this.#waiting = { bytes: answerBytes, resolve };
      this.#stream.write(question);
    });
  }

  #deliver(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#got.length < waiting.bytes) return;
    this.#waiting = undefined;
    // All of it: more than the answer is wrong too, and who asked compares.
    const answer = this.#got;
    this.#got = Buffer.alloc(0);
    waiting.resolve(answer);
  }
}
