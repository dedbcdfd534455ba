import { deepEqual, equal, rejects } from 'node:assert/strict';
import { receiptsOf } from '../../../core/contract.js';
import { createLimit, type CreateLimitOptions, type Limit } from '../../../core/limit.js';
import { CasesOf } from '../define-cases.js';
import { DAY, hitsOn, limitOf, MINUTE, passes, refused, removesLimits, SECOND, seen } from '../scenario.js';

const topic = new CasesOf('slots');

/** The time until a slot is released is not known. */
const UNKNOWN = NaN;

topic.add('takes slots, and gives each back at its release', ['concurrency'], async (scenario) => {
  const limit = slotsOf(2);
  const first = await scenario.take([limit]);
  deepEqual(await scenario.hit(limit), passes(0, 0));
  deepEqual(await scenario.hit(limit), refused(0, 0, UNKNOWN));
  await scenario.settle(first, 0);
  deepEqual(await scenario.hit(limit), passes(0, 0));
});

topic.add('a slot that is released twice frees no other', ['concurrency'], async (scenario) => {
  const limit = slotsOf(2);
  const [first, second] = [await scenario.take([limit]), await scenario.take([limit])]; // in the same ms
  const released = await scenario.settle(first, 0);
  await scenario.settle(released, 0);
  await scenario.settle(first, 0); // as if the first release had been lost
  equal(await scenario.left(limit), 1);
  await scenario.settle(second, 0);
  equal(await scenario.left(limit), 2);
});

topic.add('a slot that is not renewed is free after the period', ['concurrency'], async (scenario) => {
  const limit = slotsOf(1);
  await scenario.hit(limit);
  scenario.at(MINUTE - 1);
  deepEqual(await scenario.hit(limit), refused(0, 0, UNKNOWN));
  scenario.at(MINUTE);
  deepEqual(await scenario.look(limit), passes(1, 0));
  deepEqual(await scenario.hit(limit), passes(0, 0));
});

topic.add('a renewal holds the slot for another period', ['concurrency'], async (scenario) => {
  const limit = slotsOf(2);
  await scenario.hit(limit);
  let receipts = await scenario.take([limit]);
  for (let renewal = 1; renewal <= 9; renewal++) {
    scenario.at(renewal * 20 * SECOND);
    receipts = await scenario.settle(receipts, 1);
  }
  equal(await scenario.left(limit), 1);
  scenario.at(4 * MINUTE - 1);
  equal(await scenario.left(limit), 1);
  await scenario.settle(receipts, 0);
  equal(await scenario.left(limit), 2);
});

topic.add(
  'a renewal after the end takes the slot back, above the amount if need be',
  ['concurrency'],
  async (scenario) => {
    const limit = slotsOf(1);
    const receipts = await scenario.take([limit]);
    scenario.at(MINUTE);
    await scenario.hit(limit);
    const renewed = await scenario.settle(receipts, 1);
    deepEqual(await scenario.hit(limit), refused(0, 0, UNKNOWN));
    await scenario.settle(renewed, 0);
    deepEqual(await scenario.hit(limit), refused(0, 0, UNKNOWN));
    scenario.at(2 * MINUTE);
    equal(await scenario.left(limit), 1);
  },
);

topic.add('a release after the end frees no other slot', ['concurrency'], async (scenario) => {
  const limit = slotsOf(2);
  const receipts = await scenario.take([limit]);
  scenario.at(MINUTE);
  await scenario.hit(limit);
  await scenario.settle(receipts, 0);
  equal(await scenario.left(limit), 1);
});

topic.add('takes a cost of n as n slots, and gives all of them back', ['concurrency'], async (scenario) => {
  const limit = slotsOf(5);
  const receipts = await scenario.take([limit], 3);
  deepEqual(await scenario.hit(limit, 3), refused(2, 0, UNKNOWN));
  deepEqual(await scenario.hit(limit, 6), refused(2, 0, Infinity));
  deepEqual(await scenario.hit(limit, 0), passes(2, 0));
  const fewer = await scenario.settle(receipts, 1);
  equal(await scenario.left(limit), 4);
  await scenario.settle(fewer, 0);
  equal(await scenario.left(limit), 5);
});

topic.add('a hit of cost 0 takes a slot when it is settled to more', ['concurrency'], async (scenario) => {
  const limit = slotsOf(2);
  const receipts = await scenario.settle(await scenario.take([limit], 0), 1);
  equal(await scenario.left(limit), 1);
  await scenario.settle(receipts, 0);
  equal(await scenario.left(limit), 2);
});

topic.add('a smaller plan keeps the slots that are held', ['concurrency'], async (scenario) => {
  const [large, small] = [slotsOf(5, { id: 'plan' }), slotsOf(2, { id: 'plan' })];
  const receipts = await scenario.take([large], 3);
  deepEqual(await scenario.hit(small), refused(0, 0, UNKNOWN));
  equal(await scenario.left(large), 2);
  await scenario.settle(receipts, 0);
  equal((await scenario.hit(small)).remaining, 1);
});

topic.add('plans that hold slots for different times share them', ['concurrency'], async (scenario) => {
  const long = slotsOf(2, { id: 'plan', period: 10 * MINUTE });
  const short = slotsOf(2, { id: 'plan', period: 10 * SECOND });
  await scenario.hit(long);
  await scenario.hit(short);
  deepEqual(await scenario.hit(short), refused(0, 0, UNKNOWN));
  scenario.at(10 * SECOND);
  equal(await scenario.left(short), 1);
  scenario.at(10 * MINUTE - 1);
  equal(await scenario.left(short), 1);
  scenario.at(10 * MINUTE);
  equal(await scenario.left(short), 2);
});

topic.add('a shadow limit of slots counts, and refuses nothing', ['concurrency'], async (scenario) => {
  const limit = slotsOf(1, { mode: 'shadow' });
  await scenario.take([limit]);
  const result = await scenario.consume(hitsOn([limit]));
  deepEqual([result.allowed, seen(result), receiptsOf(result)], [true, [refused(0, 0, UNKNOWN)], []]);
});

topic.add(
  'a batch of slots and rates takes all or none',
  ['concurrency', 'fixed-window'],
  async (scenario) => {
    const [slots, rate] = [slotsOf(1), limitOf('fixed-window')];
    const taken = await scenario.take([slots, rate]);
    deepEqual(seen(await scenario.consume(hitsOn([slots, rate]))), [
      refused(0, 0, UNKNOWN),
      passes(2, MINUTE),
    ]);
    await scenario.settle(taken.slice(0, 1), 0);
    await scenario.settle((await scenario.take([slots, rate])).slice(0, 1), 0);
    await scenario.settle((await scenario.take([slots, rate])).slice(0, 1), 0);
    deepEqual(seen(await scenario.consume(hitsOn([slots, rate]))), [
      passes(1, 0),
      refused(0, MINUTE, MINUTE),
    ]);
    equal(await scenario.left(slots), 1);
  },
);

topic.add(
  'after the clock went back, slots keep the time that they had left, and their releases find them',
  ['concurrency'],
  async (scenario) => {
    const limit = slotsOf(3);
    const first = await scenario.take([limit]);
    scenario.at(20 * SECOND);
    const second = await scenario.take([limit]);
    scenario.at(-DAY);
    deepEqual(await scenario.hit(limit, 2), refused(1, 0, UNKNOWN)); // 40 s and 60 s are left
    await scenario.settle(second, 0);
    equal(await scenario.left(limit), 2);
    scenario.at(-DAY + 40 * SECOND - 1);
    equal(await scenario.left(limit), 2);
    scenario.at(-DAY + 40 * SECOND);
    equal(await scenario.left(limit), 3);
    await scenario.settle(first, 0);
    equal(await scenario.left(limit), 3);
  },
);

topic.add(
  'of 60 slots taken and released at once, none is lost and none is freed twice',
  ['concurrency'],
  async (scenario) => {
    const limit = slotsOf(40);
    const results = await Promise.all(Array.from({ length: 60 }, () => scenario.consume(hitsOn([limit]))));
    const taken = results.filter(({ allowed }) => allowed).map(receiptsOf);
    equal(taken.length, 40);
    await Promise.all(taken.slice(0, 25).map((receipts) => scenario.settle(receipts, 0)));
    await Promise.all(taken.slice(25).map((receipts) => scenario.settle(receipts, 1)));
    equal(await scenario.left(limit), 25);
  },
);

topic.add('removes slots that are held', ['concurrency'], async (scenario) => {
  const limit = slotsOf(1);
  const receipts = await scenario.take([limit]);
  await scenario.remove([limit]);
  scenario.at(1);
  await scenario.hit(limit);
  await scenario.settle(receipts, 0);
  equal(await scenario.left(limit), 0);
});

topic.add('removes the slots of a limit for all identities', ['concurrency'], async (scenario) => {
  const [limit, other] = [slotsOf(1), slotsOf(1, { id: 'others' })];
  const identities = ['conformance/one', 'conformance/two'];
  for (const identity of identities) await scenario.take([limit, other], 1, identity);
  if (!(await removesLimits(scenario.storage, [limit]))) return;
  scenario.at(1);
  for (const identity of identities) {
    deepEqual(await scenario.leftOf([limit, other], identity), [1, 0]);
    deepEqual(await scenario.hit(limit, 1, identity), passes(0, 0));
  }
});

topic.add('a release after the storage was closed is a StorageError', ['concurrency'], async (scenario) => {
  const receipts = await scenario.take([slotsOf(1)]);
  await scenario.storage.close();
  await rejects(async () => scenario.storage.settle(receipts.map((receipt) => ({ ...receipt, actual: 0 }))), {
    code: 'ERR_RATE_LIMIT_STORAGE',
  });
});

function slotsOf(amount: number, options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'slots', amount, period: MINUTE, ...options, strategy: 'concurrency' });
}

export const slotsCases = topic.cases;
