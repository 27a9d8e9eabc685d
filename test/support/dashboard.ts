/** DASHBOARD: the page as its tests read it: what a person sees, in plain text. Owns nothing. */
import type { Page } from 'playwright-core';

/** Label of the search field. */
export const SEARCH = 'Search by user, address or destination';

/** Text of an element as a person reads it. */
export async function text(page: Page, selector: string): Promise<string> {
  return (await page.locator(selector).first().innerText()).replaceAll('\u00a0', ' ').trim();
}

/** The lists are here. */
export async function listed(page: Page): Promise<void> {
  await page.locator('#workers-count:not(:empty)').waitFor();
}

export async function rows(page: Page, body: string): Promise<string[]> {
  const all = await page.locator(`#${body} > tr`).allInnerTexts();
  return all.map((row) => row.replaceAll('\u00a0', ' ').replaceAll(/\s+/g, ' ').trim());
}
