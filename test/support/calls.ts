/** CALLS: reads the page on which the recorder (handlers/recorder.ts) shows what its hooks were asked. Owns nothing. */
import { request } from 'node:http';
import { within } from './deadline.js';
import type { Call } from './handlers/recorder.js';

export interface CallsPage {
  /** The identity of whoever reads, as the in-process target sees it. */
  readonly asker: { readonly user: string; readonly [what: string]: unknown };
  readonly calls: readonly Call[];
}

/** @param near port of a `-L near:calls:80` */
export async function callsAt(near: number): Promise<CallsPage> {
  const page = new Promise<CallsPage>((resolve, reject) => {
    const asked = request({ port: near, host: '127.0.0.1', agent: false }, async (response) => {
      const chunks: Buffer[] = await response.toArray();
      resolve(JSON.parse(Buffer.concat(chunks).toString()));
    });
    asked.on('error', reject).end();
  });
  return await within(page, 'the page of calls');
}
