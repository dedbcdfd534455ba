import { it } from '@jest/globals';
import { EtcdStorage } from 'nestjs-limits/etcd';
import { serverUri } from '../support/servers.js';
import { playSlots, SLOTS_TIMEOUT_MS } from '../support/slot-model.js';

it(
  'EtcdStorage holds the slots that a list of all of them holds, over random steps',
  async () => {
    await playSlots((options) => new EtcdStorage(serverUri('ETCD') ?? '', { ...options, timeout: 20_000 }));
  },
  SLOTS_TIMEOUT_MS,
);
