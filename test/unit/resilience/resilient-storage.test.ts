import { describe, expect, it } from '@jest/globals';
import { createLimit, type Hit } from 'nestjs-limits';
import {
  resolveResilience,
  type ResilienceOptions,
  type ResolvedResilience,
} from '../../../lib/resilience/resilience.options.js';
import { resilient, type DecidingStorage } from '../../../lib/resilience/resilient-storage.js';
import { BorrowedStorage } from '../../../lib/core/wrapped.storage.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';
import { ScriptedStorage } from './scripted.storage.js';

const limit = createLimit({ id: 'none', strategy: 'fixed-window', amount: 0, period: 60_000 });
const batch: Hit[] = [{ identity: 'somebody', limit, cost: 1 }];
const listener = { degraded: () => undefined, recovered: () => undefined };

/** A remote storage that counts its calls. */
class RemoteStorage extends MapCasStorage {
  asked = 0;

  override async consume(
    ...args: Parameters<MapCasStorage['consume']>
  ): ReturnType<MapCasStorage['consume']> {
    this.asked++;
    return super.consume(...args);
  }
}

function decidingBy(storage: MapCasStorage, options: ResilienceOptions): DecidingStorage {
  return resilient(storage, resolveResilience(options) as ResolvedResilience, listener);
}

describe('The deciding storage', () => {
  it.each([
    ['asks the store once where refusals are cached', true, 1],
    ['asks the store every time where they are not', false, 5],
  ])('%s', async (_what, denialCache, asked) => {
    const store = new RemoteStorage(new MapCasServer());
    const deciding = decidingBy(store, { denialCache });
    for (let time = 0; time < 5; time++) expect((await deciding.consume(batch)).allowed).toBe(false);
    expect(store.asked).toBe(asked);
    await deciding.close();
  });

  it('is memory itself, also as a borrowed storage', () => {
    const memory = new BorrowedStorage(new ScriptedStorage());
    expect(resilient(memory, resolveResilience() as ResolvedResilience, listener)).toBe(memory);
  });
});
