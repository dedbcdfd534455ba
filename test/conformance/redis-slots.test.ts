import { it } from '@jest/globals';
import { RedisStorage } from 'nestjs-limits/redis';
import { serverUri } from '../support/servers.js';
import { playSlots, SLOTS_TIMEOUT_MS } from '../support/slot-model.js';

it(
  'RedisStorage holds the slots that a list of all of them holds, over random steps',
  async () => {
    await playSlots((options) => new RedisStorage(serverUri('REDIS') ?? '', { ...options, timeout: 20_000 }));
  },
  SLOTS_TIMEOUT_MS,
);
