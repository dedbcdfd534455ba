import { afterEach, expect, it } from '@jest/globals';
import { createLimit } from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { onlyOutcome } from '../../lib/core/contract.js';
import { serverUri } from '../support/servers.js';
import { until } from '../support/servers/server-process.js';

const HOLD_MS = 1000;
const uri = serverUri('REDIS') ?? '';
const options = { id: 'slots', strategy: 'concurrency', amount: 1, period: HOLD_MS } as const;

/** Takes the slot and holds it for as long as the process lives. */
const SCRIPT = `
import { createLimit } from './lib/core/limit.ts';
import { slotsTakenBy } from './lib/limiter/held-slots.ts';
import { RedisStorage } from './lib/storages/redis/index.ts';

const storage = new RedisStorage(${JSON.stringify(uri)}, { keyPrefix: 'dead-process' });
const batch = [{ identity: 'somebody', limit: createLimit(${JSON.stringify(options)}), cost: 1 }];
slotsTakenBy(storage, await storage.consume(batch)).keep();
console.log('held');
setInterval(() => undefined, 1000);
`;

let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill('SIGKILL');
});

it('A slot is held as long as its process lives, and is free after its hold once the process has died', async () => {
  child = spawn(
    process.execPath,
    ['--import', './test/support/typescript.mjs', '--input-type=module', '--eval', SCRIPT],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  if (child.stdout !== null) await once(child.stdout, 'data');
  const storage = new RedisStorage(uri, { keyPrefix: 'dead-process' });
  const batch = [{ identity: 'somebody', limit: createLimit(options), cost: 0 }];
  const { now: start } = await storage.peek(batch);
  const free: number[] = [];
  await until(async () => {
    const result = await storage.peek(batch);
    free.push(onlyOutcome(result).remaining);
    return result.now > start + 3 * HOLD_MS;
  }, 'three holds have passed');
  expect(new Set(free)).toEqual(new Set([0]));
  child.kill('SIGKILL');
  await until(async () => onlyOutcome(await storage.peek(batch)).remaining === 1, 'the slot is free');
  await storage.close();
});
