/** The frame of a picture of the documentation, in the colours of the reader's system, light or dark. */

const round = (number) => Math.round(number * 10) / 10;

const FONT = `text{font:12px system-ui,sans-serif;fill:#1f2328}.name{font-size:15px;font-weight:600}.mid{text-anchor:middle}.end{text-anchor:end}
.card{fill:#fff;stroke:#d1d9e0}`;
const DARK_FONT = 'text{fill:#f0f6fc}.card{fill:#0d1117;stroke:#3d444d}';

/**
 * Returns an SVG with a title.
 *
 * @param style further rules: `light`, and `dark` for readers who prefer it
 */
export function frame({ width, height, title, description, heading = title, style, parts }) {
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${round(width)} ${height}" role="img" aria-labelledby="t d">`,
    `<title id="t">${title}</title>`,
    `<desc id="d">${description}</desc>`,
    `<style>\n${FONT}${style.light}\n@media (prefers-color-scheme:dark){${DARK_FONT}${style.dark}}\n</style>`,
    `<rect class="card" width="${round(width)}" height="${height}" rx="8"/>`,
    `<text class="name" x="16" y="26">${heading}</text>`,
    ...parts,
    '</svg>',
  ].join('\n')}\n`;
}
