/** One column of a chart. */
export interface Bar {
  readonly label: string;
  readonly value: number;
}

const HEIGHT = 6;
const EIGHTHS = ' ▁▂▃▄▅▆▇█';

/**
 * Draws bars as lines of text, with the highest value and the first and last label. Where there are
 * more bars than columns, a column shows the highest of several.
 *
 * @param width characters of the longest line
 * @param highest the value at the top, so that several charts can have one scale; above 0
 */
export function drawChart(bars: readonly Bar[], width: number, highest: number): string[] {
  const top = highest.toLocaleString('en');
  const columns = fit(bars, Math.max(1, width - top.length - 2));
  const rows = Array.from({ length: HEIGHT }, (_, row) => {
    const base = (HEIGHT - 1 - row) * 8;
    const cells = columns.map(({ value }) => {
      const eighths = value === 0 ? 0 : Math.max(1, Math.round((value / highest) * HEIGHT * 8));
      return EIGHTHS.charAt(Math.min(8, Math.max(0, eighths - base)));
    });
    return `${(row === 0 ? top : '').padStart(top.length)} │${cells.join('')}`.trimEnd();
  });
  const first = columns[0]?.label ?? '';
  const last = bars.at(-1)?.label ?? '';
  const gap = columns.length - first.length - last.length;
  const axis = gap > 0 ? `${first}${' '.repeat(gap)}${last}` : first;
  return [
    ...rows,
    `${'0'.padStart(top.length)} └${'─'.repeat(columns.length)}`,
    `${' '.repeat(top.length + 2)}${axis}`,
  ];
}

/** Merges bars into at most `count`, each the highest of several. */
function fit(bars: readonly Bar[], count: number): Bar[] {
  const each = Math.ceil(bars.length / count);
  return bars
    .filter((_, index) => index % each === 0)
    .map(({ label }, column) => {
      const merged = bars.slice(column * each, (column + 1) * each);
      return { label, value: Math.max(...merged.map(({ value }) => value)) };
    });
}
