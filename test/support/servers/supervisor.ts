/**
 * A separate process that starts the servers of a run, and kills them when the run ends for any
 * reason: the channel to Jest closes then, even if Jest was killed. It also kills the servers of
 * interrupted tests.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSharedServers, type SharedServers } from './shared-servers.js';

const directory = mkdtempSync(join(tmpdir(), 'nestjs-limits-'));
process.env['TEST_SERVERS_DIR'] = directory;

let shared: SharedServers | undefined;
let ending = false;

async function end(exitCode = 0): Promise<void> {
  if (ending) return;
  ending = true;
  await shared?.forget?.().catch((error: unknown) => console.error(error));
  for (const name of readdirSync(directory)) {
    try {
      process.kill(Number(readFileSync(join(directory, name, 'pid'), 'utf8')), 'SIGKILL');
    } catch {
      // it has ended already, or never started
    }
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  process.exit(exitCode);
}

process.on('disconnect', () => void end());
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(1));

try {
  shared = await startSharedServers();
  process.send?.({
    env: { ...shared.env, TEST_SERVERS_DIR: directory },
    report: shared.report,
  });
} catch (error) {
  if (!ending) process.send?.({ error: error instanceof Error ? error.message : String(error) });
  await end(1);
}
