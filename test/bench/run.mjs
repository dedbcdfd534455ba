/**
 * Benchmarks of the built package beside its peers. All parts: `npm run bench`; some of them, after a build:
 * `node test/bench/run.mjs memory guard`. Loopback only; asserts nothing.
 */
import { printMachine } from './support/report.mjs';

const PARTS = ['memory', 'bytes', 'growth', 'guard', 'rules', 'flood', 'redis', 'resilience'];

const asked = process.argv.slice(2);
const unknown = asked.filter((part) => !PARTS.includes(part));
if (unknown.length > 0) {
  console.error(`There is no part ${unknown.join(', ')}. Parts: ${PARTS.join(', ')}.`);
  process.exit(1);
}

printMachine();
for (const part of asked.length > 0 ? asked : PARTS) {
  const start = performance.now();
  const { run } = await import(`./parts/${part}.mjs`);
  await run();
  console.log(`\n(${part}: ${((performance.now() - start) / 1000).toFixed(0)} s)`);
}
