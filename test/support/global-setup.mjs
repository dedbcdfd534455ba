import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The process that starts and ends the servers, and what it says of them. */
export let supervisor;
export let report = [];

/** Starts the servers that the tests of this run share; runs once, and only if there are tests that need servers. */
export default async function startServers() {
  supervisor = fork(file('./servers/supervisor.ts'), {
    execArgv: ['--import', new URL('./typescript.mjs', import.meta.url).href],
    // An interrupt from the keyboard is for Jest; the supervisor ends the servers when Jest has ended.
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exit = once(supervisor, 'exit').then(([code]) => ({
    error: `Their supervisor has ended (${code}).`,
  }));
  const started = await Promise.race([once(supervisor, 'message').then(([message]) => message), exit]);
  if (started.error !== undefined) throw new Error(`The servers did not start. ${started.error}`);
  report = started.report;
  Object.assign(process.env, started.env);
  // Jest may end without ending the servers first.
  supervisor.unref();
  supervisor.channel.unref();
}
