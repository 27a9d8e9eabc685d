/** TEXT: figures and tables as text. Pure. */

/** Three significant digits: what differs behind them is noise. 0.0123, 1.23, 12.3, 123, 12,300. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value === 0) return '0';
  const rounded = Number(value.toPrecision(3));
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(rounded))));
  // Grouped by hand: what toLocaleString does differs between builds of Node.
  const [whole = '', fraction] = rounded.toFixed(Math.min(decimals, 6)).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** A ratio, where 1/200 says more than 0.005. */
export function times(value: number): string {
  if (!Number.isFinite(value) || value <= 0) return '-';
  return value < 0.1 ? `1/${figure(1 / value)}` : figure(value);
}

/** A Markdown table that can also be read as it stands. The first column is text, the others are figures. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map((text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')));
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, i) => (i === 0 ? (row[i] ?? '').padEnd(width) : (row[i] ?? '').padStart(width))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  const [first = [], ...others] = all;
  return [line(first), rule, ...others.map(line)].join('\n');
}
