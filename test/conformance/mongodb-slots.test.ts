import { it } from '@jest/globals';
import { MongoDBStorage } from 'nestjs-limits/mongodb';
import { describeOn } from '../support/servers.js';
import { playSlots, SLOTS_TIMEOUT_MS } from '../support/slot-model.js';

describeOn('MONGODB', 'on a server', (uri) => {
  it(
    'MongoDBStorage holds the slots that a list of all of them holds, over random steps',
    async () => {
      await playSlots((options) => new MongoDBStorage(uri, { ...options, timeout: 20_000 }));
    },
    SLOTS_TIMEOUT_MS,
  );
});
