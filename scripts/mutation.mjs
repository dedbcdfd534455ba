import { spawnSync } from 'node:child_process';
import { parts } from '../jest.mutation.config.mjs';

// `npm run mutation` runs all parts, `npm run mutation -- notation` one of them.
const asked = process.argv.slice(2);
const options = asked.filter((argument) => argument.startsWith('-'));
const names = asked.filter((argument) => !argument.startsWith('-'));

const failed = (names.length > 0 ? names : Object.keys(parts)).filter((name) => {
  const { status } = spawnSync('npx', ['--no-install', 'stryker', 'run', ...options], {
    // Fewer runs of each property per mutant than in the suite.
    env: { ...process.env, MUTATED: name, PROPERTY_RUNS: '25' },
    stdio: 'inherit',
  });
  return status !== 0;
});

if (failed.length > 0) {
  console.error(`Too many mutants survive in ${failed.join(', ')}.`);
  process.exitCode = 1;
}
