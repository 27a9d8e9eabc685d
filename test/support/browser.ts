/** BROWSER: one Chromium for a file of tests, and who visits pages in it and forgives nothing. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import type { Test } from 'tap';
import { need, pathOf } from './programs.js';

/** Closed with the test. */
async function startBrowser(t: Test): Promise<Browser> {
  const executablePath = pathOf('chromium') ?? 'chromium';
  // Chromium's sandbox wants to be anybody but root, and /dev/shm is small in containers.
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'];
  const browser = await chromium.launch({ executablePath, args });
  t.teardown(() => browser.close());
  return browser;
}

export interface PageOptions extends BrowserContextOptions {
  /** Words on the console that the test means to cause. */
  readonly expected?: RegExp;
}

/** Who opens pages for one test. Owns them, and what was heard of them. */
export class Visitor {
  readonly #browser: Browser;
  readonly #pages: Page[] = [];
  /** What should not have happened: words on the console, errors, breaches of the policy, requests to elsewhere. */
  readonly heard: string[] = [];

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** A page with storage of its own, at `url`. */
  async open(url: string, options: PageOptions = {}): Promise<Page> {
    const { expected, ...context } = options;
    const page = await this.#browser.newPage({ viewport: { width: 1_280, height: 900 }, ...context });
    this.#pages.push(page);
    const hear = (text: string): void => {
      if (expected === undefined || !expected.test(text)) this.heard.push(text);
    };
    page.on('pageerror', (error) => hear(String(error)));
    page.on('console', (message) => hear(`${message.type()}: ${message.text()}`));
    page.on('request', (request) => {
      if (!request.url().startsWith(url)) hear(`asked for ${request.url()}`);
    });
    await page.goto(url);
    return page;
  }

  async leave(): Promise<void> {
    for (const page of this.#pages) await page.close();
  }
}

/** Chromium says so of every answer that is an error. */
export const FAILED_REQUEST = /Failed to load resource/;

/** One test: its name, and what its visitor does. */
export type Visit = readonly [name: string, body: (t: Test, visitor: Visitor) => Promise<void>];

/** One after the other, in one browser. Without Chromium the test is skipped, or fails under CI. */
export async function visits(t: Test, all: readonly Visit[]): Promise<void> {
  if (!need(t, ['chromium'])) return;
  const browser = await startBrowser(t);
  for (const [name, body] of all)
    await t.test(name, async (t) => {
      const visitor = new Visitor(browser);
      t.teardown(() => visitor.leave());
      await body(t, visitor);
      t.same(visitor.heard, [], 'nothing on the console, no breach of the policy, nothing loaded from elsewhere');
    });
}
