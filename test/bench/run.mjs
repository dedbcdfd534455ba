/**
 * Benchmarks of the built package beside its peers. `npm run bench` runs all parts but the soak, and writes what they measure into
 * docs/benchmarks.md and the pages in docs/benchmarks; after a build, `node --expose-gc test/bench/run.mjs memory guard` runs some of them, and with `--write` writes
 * them too. Loopback only; asserts nothing.
 */
import { PARTS, writePart } from './support/document.mjs';
import { describeMachine, takeMarkdown } from './support/report.mjs';

/** Only when it is asked for: it takes ten minutes. */
const LONG = ['soak'];

const asked = process.argv.slice(2).filter((argument) => argument !== '--write');
const unknown = asked.filter((part) => !PARTS.includes(part));
if (unknown.length > 0) {
  console.error(`There is no part ${unknown.join(', ')}. Parts: ${PARTS.join(', ')}.`);
  process.exit(1);
}

console.log(describeMachine().join('\n'));
console.log('Wall-clock figures of a shared machine are noisy: compare the ratios within one run.');
for (const part of asked.length > 0 ? asked : PARTS.filter((part) => !LONG.includes(part))) {
  const start = performance.now();
  const { run } = await import(`./parts/${part}.mjs`);
  const pictures = (await run()) ?? {};
  console.log(`\n(${part}: ${((performance.now() - start) / 1000).toFixed(0)} s)`);
  const section = { markdown: takeMarkdown(), pictures };
  if (asked.length === 0 || process.argv.includes('--write')) await writePart(part, section);
}
