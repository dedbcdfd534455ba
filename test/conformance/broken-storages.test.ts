import { describe, expect, it } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import {
  createLimit,
  MemoryStorage,
  type Awaitable,
  type BatchResult,
  type Cell,
  type Hit,
  type Limit,
  type Outcome,
  type Settlement,
  type Storage,
} from 'nestjs-limits';
import { conformanceCases, runConformanceCase, type OpenStorage } from 'nestjs-limits/testing';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';

/** A storage with one fault, and the topics whose cases must fail. */
interface Broken {
  open: OpenStorage;
  noticedBy: readonly string[];
}

const DAY = 86_400_000;

const broken: Readonly<Record<string, Broken>> = {
  'takes one unit whatever the cost': {
    open: changing((storage) => ({
      consume: (batch) =>
        toldAs(batch, storage.consume(batch.map((hit) => ({ ...hit, cost: Math.min(1, hit.cost) })))),
    })),
    noticedBy: ['costs', 'boundaries', 'random traces'],
  },
  'takes the remaining units for a cost above them': {
    open: changing((storage) => ({
      consume: (batch) => {
        const result = storage.peek(batch);
        if (result.allowed) return storage.consume(batch);
        storage.consume(
          result.outcomes.map(({ identity, limit, remaining }) => ({ identity, limit, cost: remaining })),
        );
        return result;
      },
    })),
    noticedBy: ['costs', 'batches'],
  },
  'allows everything': {
    open: changing((storage) => ({
      consume: (batch) => {
        const result = storage.consume(batch);
        const outcomes = result.outcomes.map((outcome) => ({ ...outcome, allowed: true, taken: true }));
        return { ...result, allowed: true, outcomes };
      },
    })),
    noticedBy: ['boundaries', 'meters', 'waiting'],
  },
  'allows nothing': {
    open: changing((storage) => ({
      consume: (batch) => {
        const result = storage.peek(batch);
        const outcomes = result.outcomes.map((outcome) => ({ ...outcome, allowed: false, retryAfter: 1 }));
        return { ...result, allowed: false, outcomes };
      },
    })),
    noticedBy: ['boundaries', 'meters', 'waiting'],
  },
  'takes the allowed hits of a refused batch': {
    open: changing((storage) => ({
      consume: (batch) => join(batch.map((hit) => storage.consume([hit]))),
    })),
    noticedBy: ['batches', 'random traces'],
  },
  'counts all identities together': {
    open: changingCells((cell) => ({ ...cell, identity: 'everybody' })),
    noticedBy: ['keys'],
  },
  'truncates identities to 250 characters': {
    open: changingCells((cell) => ({ ...cell, identity: cell.identity.slice(0, 250) })),
    noticedBy: ['keys'],
  },
  'ignores upper and lower case': {
    open: changingCells((cell) => ({ ...cell, identity: cell.identity.toLowerCase() })),
    noticedBy: ['keys'],
  },
  'normalises Unicode': {
    open: changingCells((cell) => ({ ...cell, identity: cell.identity.normalize() })),
    noticedBy: ['keys'],
  },
  'trims white space': {
    open: changingCells((cell) => ({ ...cell, identity: cell.identity.trim() })),
    noticedBy: ['keys'],
  },
  'counts all limits of an identity together': {
    open: changingLimits(() => ({ id: 'all' })),
    noticedBy: ['keys', 'batches'],
  },
  'counts limits of different amounts separately': {
    open: changingLimits(({ id, amount }) => ({ id: `${id} ${amount}` })),
    noticedBy: ['keys'],
  },
  'enforces shadow limits': {
    open: changingLimits(() => ({ mode: 'enforce' })),
    noticedBy: ['batches'],
  },
  'never blocks': {
    open: changingLimits(() => ({ block: [] })),
    noticedBy: ['blocks', 'random traces'],
  },
  'blocks always for the first duration': {
    open: changingLimits(({ block }) => ({ block: block.slice(0, 1) })),
    noticedBy: ['blocks'],
  },
  'consumes when it peeks': {
    open: changing((storage) => ({
      peek: (batch) => ({ ...storage.consume(batch), outcomes: storage.peek(batch).outcomes }),
    })),
    noticedBy: ['peeking', 'boundaries'],
  },
  'changes nothing when it refuses': {
    open: changing((storage) => ({
      consume: (batch) => {
        const result = storage.peek(batch);
        return result.allowed ? storage.consume(batch) : result;
      },
    })),
    noticedBy: ['boundaries', 'batches', 'blocks', 'random traces'],
  },
  'settles nothing': {
    open: changing((storage) => ({
      settle: (settlements) =>
        storage.settle(settlements.map((settlement) => ({ ...settlement, cost: settlement.actual }))),
    })),
    noticedBy: ['settlements', 'concurrency', 'random traces'],
  },
  'settles only to less': {
    open: changing((storage) => ({
      settle: (settlements) =>
        storage.settle(
          settlements.map((settlement) => ({
            ...settlement,
            cost: Math.max(settlement.cost, settlement.actual),
          })),
        ),
    })),
    noticedBy: ['settlements', 'random traces'],
  },
  'always settles in the current window': {
    open: changing((storage) => ({
      settle: (settlements) => {
        for (const { identity, limit, cost, actual } of settlements)
          storage.settle([{ identity, limit, cost, window: 'current', actual }]);
        return storage.settle(settlements.map((settlement) => ({ ...settlement, cost: settlement.actual })));
      },
    })),
    noticedBy: ['settlements', 'random traces'],
  },
  'settles by removing the cell': {
    open: changing((storage) => ({
      settle: (settlements) => {
        storage.remove(settlements);
        return storage.settle(settlements.map((settlement) => ({ ...settlement, cost: settlement.actual })));
      },
    })),
    noticedBy: ['settlements', 'concurrency', 'random traces'],
  },
  'cannot charge a hit that reserved nothing': {
    open: changing((storage) => ({
      consume: (batch) => {
        const result = storage.consume(batch);
        return {
          ...result,
          outcomes: result.outcomes.map((outcome) => ({ ...outcome, taken: outcome.window !== undefined })),
        };
      },
    })),
    noticedBy: ['settlements'],
  },
  'blocks for reservations that may not count': {
    open: changingLimits(() => ({ refundable: false })),
    noticedBy: ['settlements', 'random traces'],
  },
  'removes the count of one strategy only': {
    open: changing((storage) => ({ remove: (cells) => storage.remove(cells.slice(0, 1)) })),
    noticedBy: ['lifecycle', 'per-key methods'],
  },
  'reads the clock of the machine': {
    open: ({ keyPrefix }) => new MemoryStorage({ keyPrefix }),
    noticedBy: ['boundaries', 'clocks'],
  },
  'is one ms late': {
    open: ({ clock, keyPrefix }) =>
      new MemoryStorage({ keyPrefix, clock: { now: () => clock.now() - (clock.now() % 2) } }),
    noticedBy: ['boundaries', 'blocks'],
  },
  'reports times in whole seconds': {
    open: changingOutcomes((outcome) => ({
      ...outcome,
      retryAfter: Math.ceil((outcome.retryAfter ?? NaN) / 1000) * 1000,
    })),
    noticedBy: ['boundaries', 'clocks'],
  },
  'reports the end of the window as resetTime': {
    open: changingOutcomes((outcome, now) => ({ ...outcome, resetTime: now + outcome.limit.period })),
    noticedBy: ['boundaries', 'costs'],
  },
  'returns outcomes in another order': {
    open: changing((storage) => ({
      consume: (batch) => {
        const result = storage.consume(batch);
        return { ...result, outcomes: [...result.outcomes].reverse() };
      },
    })),
    noticedBy: ['batches', 'costs'],
  },
  'decides before earlier calls have written': {
    open: changing((storage) => ({
      consume: async (batch) => {
        const foretold = storage.peek(batch);
        await setImmediate();
        const result = storage.consume(batch);
        return foretold.allowed ? { ...result, allowed: true, outcomes: foretold.outcomes } : result;
      },
    })),
    noticedBy: ['concurrency'],
  },
  'keeps only the write of the later process': {
    open: sharedMap((server) => {
      let writes = 0;
      server.compareAndSet = async (key, text, _version, ttl, now) => {
        await setImmediate();
        server.entries.set(key, { text, version: ++writes, end: now + ttl });
        return true;
      };
    }),
    noticedBy: ['concurrency'],
  },
  'keeps nothing for longer than 30 days': {
    open: sharedMap((server) => {
      const { compareAndSet } = server;
      server.compareAndSet = (key, text, version, ttl, now) =>
        compareAndSet.call(server, key, text, version, Math.min(ttl, 30 * DAY), now);
    }),
    noticedBy: ['clocks', 'blocks'],
  },
  'resets every key that begins with its prefix': {
    open: sharedMap((server) => {
      const { removeAll } = server;
      server.removeAll = (prefix) => removeAll.call(server, prefix.slice(0, -1));
    }),
    noticedBy: ['lifecycle'],
  },
  'resets keys that match its prefix as a pattern': {
    open: sharedMap((server) => {
      server.removeAll = (prefix) => {
        const pattern = new RegExp(`^${prefix}`);
        const keys = [...server.entries.keys()].filter((key) => pattern.test(key));
        for (const key of keys) server.entries.delete(key);
        return keys.length;
      };
    }),
    noticedBy: ['lifecycle'],
  },
  'resets nothing': {
    open: changing(() => ({ reset: () => 0 })),
    noticedBy: ['lifecycle'],
  },
  'still works when it is closed': {
    open: changing(() => ({ close: () => undefined })),
    noticedBy: ['lifecycle'],
  },
  'throws at check when it is closed': {
    open: changing((storage) => ({
      check: () => {
        storage.reset();
        return true;
      },
    })),
    noticedBy: ['lifecycle'],
  },
  'throws an error of another kind once it is closed': {
    open: changing((storage) => ({
      peek: (batch) => {
        if (!storage.check()) throw new TypeError('connection is undefined');
        return storage.peek(batch);
      },
    })),
    noticedBy: ['lifecycle'],
  },
};

describe.each(Object.entries(broken))('a storage that %s', (_name, { open, noticedBy }) => {
  it.each(noticedBy)('fails cases on %s', async (topic) => {
    const cases = conformanceCases.filter((each) => each.topic === topic);
    expect(cases.length).toBeGreaterThan(0);
    for (const each of cases) {
      const failed = await runConformanceCase(each, open).then(
        () => false,
        () => true,
      );
      if (failed) return;
    }
    throw new Error(`All ${cases.length} cases on ${topic} passed.`);
  });
});

/** The methods that a broken storage overrides. */
type Changes = Partial<{
  consume: (batch: readonly Hit[]) => Awaitable<BatchResult>;
  peek: (batch: readonly Hit[]) => Awaitable<BatchResult>;
  settle: (settlements: readonly Settlement[]) => Awaitable<BatchResult>;
  remove: (cells: readonly Cell[]) => Awaitable<void>;
  reset: () => Awaitable<number>;
  check: () => Awaitable<boolean>;
  close: () => Awaitable<void>;
}>;

/**
 * Opens memory storages with some methods replaced. The replacements receive an intact storage over
 * the same cells.
 */
function changing(changes: (intact: MemoryStorage) => Changes): OpenStorage {
  return (options) => {
    const intact = new MemoryStorage(options);
    const { capabilities, keyPrefix } = intact;
    const own = changes(intact);
    const broken: Storage = Object.assign(Object.create(MemoryStorage.prototype) as Storage, {
      capabilities,
      keyPrefix,
      consume: intact.consume.bind(intact),
      peek: intact.peek.bind(intact),
      settle: intact.settle.bind(intact),
      remove: intact.remove.bind(intact),
      reset: intact.reset.bind(intact),
      check: intact.check.bind(intact),
      close: intact.close.bind(intact),
      ...own,
    });
    return broken;
  };
}

/** Changes cells before they reach the storage, and restores the given ones in the results. */
function changingCells(change: <C extends Cell>(cell: C) => C): OpenStorage {
  return changing((storage) => ({
    consume: (batch) => toldAs(batch, storage.consume(batch.map(change))),
    peek: (batch) => toldAs(batch, storage.peek(batch.map(change))),
    settle: (settlements) => storage.settle(settlements.map(change)),
    remove: (cells) => storage.remove(cells.map(change)),
  }));
}

function changingLimits(change: (limit: Limit) => Partial<Limit>): OpenStorage {
  return changingCells((cell) => {
    const { burst, strategy, ...limit } = { ...cell.limit, ...change(cell.limit) };
    return {
      ...cell,
      limit: createLimit({
        ...limit,
        strategy,
        burst: strategy === 'token-bucket' && limit.amount > 0 ? burst : undefined,
      }),
    };
  });
}

function changingOutcomes(change: (outcome: Outcome, now: number) => Outcome): OpenStorage {
  const changed = (result: BatchResult): BatchResult => ({
    ...result,
    outcomes: result.outcomes.map((outcome) => change(outcome, result.now)),
  });
  return changing((storage) => ({
    consume: (batch) => changed(storage.consume(batch)),
    peek: (batch) => changed(storage.peek(batch)),
  }));
}

/** Opens compare-and-set storages over one broken server. */
function sharedMap(breakServer: (server: MapCasServer) => void): OpenStorage {
  const server = new MapCasServer();
  breakServer(server);
  return (options) => new MapCasStorage(server, options);
}

function toldAs(batch: readonly Hit[], result: BatchResult): BatchResult {
  return { ...result, outcomes: result.outcomes.map((outcome, index) => ({ ...outcome, ...batch[index] })) };
}

function join(results: readonly BatchResult[]): BatchResult {
  return {
    allowed: results.every(({ allowed }) => allowed),
    now: results[0]?.now ?? 0,
    outcomes: results.flatMap(({ outcomes }) => outcomes),
  };
}
