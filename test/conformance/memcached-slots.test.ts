import { it } from '@jest/globals';
import { MemcachedStorage } from 'nestjs-limits/memcached';
import { serverUri } from '../support/servers.js';
import { playSlots, SLOTS_TIMEOUT_MS } from '../support/slot-model.js';

it(
  'MemcachedStorage holds the slots that a list of all of them holds, over random steps',
  async () => {
    await playSlots(
      (options) => new MemcachedStorage(serverUri('MEMCACHED') ?? '', { ...options, timeout: 20_000 }),
    );
  },
  SLOTS_TIMEOUT_MS,
);
