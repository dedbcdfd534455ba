import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Order } from './child.js';

/** Several instances of an application, each in a separate process. */
export class Processes {
  private constructor(private readonly children: readonly ChildProcess[]) {}

  /** @param skews clock skew of each process, in ms */
  static async start(skews: readonly number[]): Promise<Processes> {
    const loader = new URL('../support/typescript.mjs', import.meta.url).href;
    const script = fileURLToPath(new URL('./child.ts', import.meta.url));
    const children = skews.map((skew) => fork(script, [String(skew)], { execArgv: ['--import', loader] }));
    await Promise.all(children.map((child) => once(child, 'message')));
    return new Processes(children);
  }

  /** Sends an order to all processes, and adds up their results. */
  async hit(order: Order): Promise<Answer> {
    const answers = await Promise.all(
      this.children.map(async (child) => {
        child.send(order);
        const [answer] = (await once(child, 'message')) as [Answer];
        return answer;
      }),
    );
    return {
      allowed: answers.reduce((sum, { allowed }) => sum + allowed, 0),
      errors: answers.flatMap(({ errors }) => errors),
    };
  }

  async end(): Promise<void> {
    await Promise.all(
      this.children.map(async (child) => {
        const exit = once(child, 'exit');
        child.disconnect();
        await exit;
      }),
    );
  }
}
