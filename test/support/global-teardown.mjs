import { once } from 'node:events';
import { report, supervisor } from './global-setup.mjs';

/** Ends the servers, and says at the very end of the run what it ran against. */
export default async function endServers() {
  supervisor.ref();
  const exit = once(supervisor, 'exit');
  supervisor.disconnect();
  await exit;
  process.stderr.write(`\nRan against real servers:\n${report.map((line) => `  ${line}\n`).join('')}`);
}
