import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Ms after which a process counts as hung and is killed. */
const HANG_MS = 45_000;

/** How a process ended. The code is `null` if it hung. */
export interface ScriptResult {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/**
 * Runs a script as an ES module in a new process, over the sources, and waits until the process
 * ends.
 */
export async function runScript(script: string): Promise<ScriptResult> {
  const child = spawn(
    process.execPath,
    ['--import', './test/support/typescript.mjs', '--input-type=module', '--eval', script],
    { stdio: ['ignore', 'pipe', 'pipe'], timeout: HANG_MS, killSignal: 'SIGKILL' },
  );
  let output = '';
  let errors = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output, errors };
}
