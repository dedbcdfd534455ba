import { it } from '@jest/globals';
import { RedisStorage } from 'nestjs-limits/redis';
import { serverUri } from '../support/servers.js';
import { playSlots } from '../support/slot-model.js';

it('RedisStorage holds the slots that a list of all of them holds, over 30,000 random steps', async () => {
  await playSlots(
    (options) => new RedisStorage(serverUri('REDIS') ?? '', { ...options, timeout: 20_000 }),
    30_000,
    1,
  );
}, 600_000);
