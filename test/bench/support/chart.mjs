/** Bars side by side, as an SVG that is readable on light and dark pages. */

const WIDTH = 760;
const LABELS = 270;
const ROW = 24;
const HEAD = 34;
const PANEL_GAP = 18;

/**
 * @param panels `{ title, rows: [{ name, value, label, isOurs }] }`: the longest bar of a panel fills it
 */
export function drawBars(panels) {
  let y = 8;
  const parts = [];
  for (const { title, rows } of panels) {
    parts.push(`<text class="title" x="0" y="${y + 16}">${escaped(title)}</text>`);
    y += HEAD;
    const longest = Math.max(...rows.map(({ value }) => value));
    for (const { name, value, label, isOurs } of rows) {
      const width = Math.max(1, (value / longest) * (WIDTH - LABELS - 90));
      parts.push(
        `<text x="${LABELS - 8}" y="${y + 14}" text-anchor="end">${escaped(name)}</text>`,
        `<rect class="${isOurs ? 'ours' : 'theirs'}" x="${LABELS}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW - 8}" rx="2"/>`,
        `<text x="${(LABELS + width + 6).toFixed(1)}" y="${y + 14}">${escaped(label)}</text>`,
      );
      y += ROW;
    }
    y += PANEL_GAP;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, sans-serif" font-size="12">`,
    '<style>',
    'text { fill: #1f2328 } .title { font-weight: 600; font-size: 13px } .ours { fill: #1a7f37 } .theirs { fill: #8c959f }',
    '@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #3fb950 } .theirs { fill: #6e7681 } }',
    '</style>',
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
