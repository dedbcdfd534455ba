import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** No question takes longer than this; a child that does is stuck, and the run fails instead of hanging. */
const LONGEST_ANSWER = 180_000;

/**
 * Starts a file of `children/` in a process of its own, so that no subject meets what another has made of the optimiser, of
 * the heap or of the timers.
 */
export function startChild(name, ...args) {
  const file = fileURLToPath(new URL(`../children/${name}.mjs`, import.meta.url));
  const child = fork(file, args.map(String), { execArgv: ['--expose-gc', '--max-old-space-size=4096'] });
  const ended = once(child, 'exit');
  return {
    /** Sends a question, and returns the answer to it. One at a time. */
    async ask(question, ...parameters) {
      child.send([question, ...parameters]);
      const limit = AbortSignal.timeout(LONGEST_ANSWER);
      const answered = once(child, 'message', { signal: limit });
      const [answer] = await Promise.race([
        answered,
        ended.then(([code]) => [{ failure: `ended (${code})` }]),
      ]);
      if (answer.failure !== undefined) throw new Error(`${name} ${args.join(' ')}: ${answer.failure}`);
      return answer.value;
    },
    async stop() {
      if (child.connected) child.disconnect();
      const patience = setTimeout(() => child.kill('SIGKILL'), 2000);
      await ended;
      clearTimeout(patience);
    },
  };
}

/** The child's side: answers questions by these functions until the parent is gone. */
export function answerQuestions(functions) {
  process.on('message', async ([question, ...parameters]) => {
    try {
      process.send({ value: await functions[question](...parameters) });
    } catch (error) {
      process.send({ failure: error.stack });
    }
  });
  process.on('disconnect', () => process.exit());
}
