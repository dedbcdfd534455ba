import { spawnSync } from 'node:child_process';
import { describe } from '@jest/globals';

/** Describes tests that start a program. They are skipped with a reason if it is not installed. */
export function describeWith(program: string, title: string, body: () => void): void {
  const missing = spawnSync(program, ['-v']).error !== undefined;
  if (missing) describe.skip(`${title} (skipped: ${program} is not installed)`, body);
  else describe(title, body);
}
