import { it } from '@jest/globals';
import { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { serverUri } from '../support/servers.js';
import { playSlots, SLOTS_TIMEOUT_MS } from '../support/slot-model.js';

it(
  'PostgreSQLStorage holds the slots that a list of all of them holds, over random steps',
  async () => {
    await playSlots(
      (options) => new PostgreSQLStorage(serverUri('POSTGRESQL') ?? '', { ...options, timeout: 20_000 }),
    );
  },
  SLOTS_TIMEOUT_MS,
);
