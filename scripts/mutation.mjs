import { spawnSync } from 'node:child_process';

/** Folders of pure functions, each run with its own tests: `npm run mutation`, or `npm run mutation -- notation` for one. */
const FOLDERS = ['notation', 'strategies', 'policies', 'http'];

const asked = process.argv.slice(2);
const options = asked.filter((argument) => argument.startsWith('-'));
const folders = asked.filter((argument) => !argument.startsWith('-'));

const failed = (folders.length > 0 ? folders : FOLDERS).filter((folder) => {
  const { status } = spawnSync('npx', ['--no-install', 'stryker', 'run', ...options], {
    // Fewer runs of each property per mutant than in the suite.
    env: { ...process.env, MUTATED: folder, PROPERTY_RUNS: '25' },
    stdio: 'inherit',
  });
  return status !== 0;
});

if (failed.length > 0) {
  console.error(`Too many mutants survive in ${failed.join(', ')}.`);
  process.exitCode = 1;
}
