import { describe, it } from '@jest/globals';
import { MemoryStorage } from 'nestjs-limits';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { playSlots } from '../support/slot-model.js';

describe('Over 30,000 random steps, the slots are those of a list of all of them', () => {
  it.each([1, 2, 3, 4, 5])('in memory (seed %i)', async (seed) => {
    await playSlots((options) => new MemoryStorage(options), 30_000, seed);
  });

  it('in a storage that compares and sets', async () => {
    await playSlots((options) => new MapCasStorage(new MapCasServer(), options), 30_000, 1);
  });
});
