import { deepEqual, equal } from 'node:assert/strict';
import { rateStrategyNames, strategyNames } from '../../../strategies/strategies.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, HOUR, limitOf, MINUTE, passes, refused, SECOND, seen } from '../scenario.js';

const topic = new CasesOf('settlements');

topic.addPerStrategy('returns exactly the units of the hit', async (scenario, strategy) => {
  const [limit, twin] = [limitOf(strategy, { amount: 5 }), limitOf(strategy, { id: 'twin', amount: 5 })];
  await scenario.consume(hitsOn([limit, twin], 2));
  scenario.at(SECOND);
  await scenario.settle(await scenario.take([limit], 3), 0);
  const [settled, untouched] = seen(await scenario.peek(hitsOn([limit, twin])));
  const moved = strategy === 'fixed-window-elastic-expiry' ? SECOND : 0;
  deepEqual(settled, untouched && { ...untouched, resetAfter: untouched.resetAfter + moved });
});

topic.addPerStrategy('has its full quota when every hit is settled to 0', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.settle(await scenario.take([limit], 3), 0);
  deepEqual(await scenario.look(limit), passes(3, 0));
  equal((await scenario.hit(limit, 3)).allowed, true);
  equal((await scenario.hit(limit)).allowed, false);
});

topic.addPerStrategy('settles to less, and keeps the rest counted', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 10 });
  await scenario.settle(await scenario.take([limit], 8), 3);
  equal(await scenario.left(limit), 7);
});

topic.addPerStrategy('settles to more', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 10 });
  await scenario.settle(await scenario.take([limit], 3), 8);
  equal(await scenario.left(limit), 2);
});

topic.addPerRate(
  'charges more than the limit, and then refuses until the debt is paid',
  async (scenario, strategy) => {
    const limit = limitOf(strategy);
    await scenario.settle(await scenario.take([limit], 1), 7);
    const { allowed, remaining, retryAfter } = await scenario.hit(limit);
    deepEqual({ allowed, remaining }, { allowed: false, remaining: 0 });
    scenario.clock.advance(retryAfter - 1);
    equal((await scenario.look(limit)).allowed, false);
    scenario.clock.advance(1);
    equal((await scenario.hit(limit)).allowed, true);
  },
);

topic.addPerStrategy('settles twice: the latest cost counts', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 10 });
  let receipts = await scenario.take([limit], 4);
  for (const actual of [9, 0, 2, 6]) {
    receipts = await scenario.settle(receipts, actual);
    equal(await scenario.left(limit), 10 - actual);
  }
});

topic.addPerStrategy('charges a hit that had reserved nothing', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 10 });
  const receipts = await scenario.settle(await scenario.take([limit], 0), 4);
  equal(await scenario.left(limit), 6);
  await scenario.settle(receipts, 1);
  equal(await scenario.left(limit), 9);
});

topic.addPerStrategy('charges a hit that was settled to 0 before', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 10 });
  const receipts = await scenario.settle(await scenario.take([limit], 4), 0);
  scenario.at(SECOND);
  await scenario.hit(limit, 2);
  await scenario.settle(receipts, 5);
  equal(await scenario.left(limit), 3);
});

topic.addPerStrategy(
  'keeps the later of two hits when the earlier is settled to 0',
  async (scenario, strategy) => {
    const limit = limitOf(strategy);
    const receipts = await scenario.take([limit], 2);
    await scenario.hit(limit);
    await scenario.settle(receipts, 0);
    equal(await scenario.left(limit), 2);
  },
);

topic.addPerStrategy('returns nothing to a window that opened later', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  const receipts = await scenario.take([limit], 2);
  scenario.at(2 * MINUTE);
  const { resetAfter } = await scenario.hit(limit, 2);
  await scenario.settle(receipts, 0);
  deepEqual(await scenario.look(limit), passes(1, resetAfter));
});

topic.addPerStrategy('changes nothing once the window has ended', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  const receipts = await scenario.take([limit], 3);
  scenario.at(2 * MINUTE);
  await scenario.settle(receipts, 0);
  deepEqual(await scenario.look(limit), passes(3, 0));
});

topic.add(
  'charges no more once the window has ended',
  rateStrategyNames.filter((name) => name !== 'token-bucket'),
  async (scenario) => {
    for (const strategy of rateStrategyNames.filter((name) => name !== 'token-bucket')) {
      const limit = limitOf(strategy);
      const receipts = await scenario.take([limit], 1);
      scenario.clock.advance(2 * MINUTE);
      await scenario.settle(receipts, 3);
      deepEqual(await scenario.look(limit), passes(3, 0));
    }
  },
);

topic.addPerStrategy('returns nothing to a cell that has been removed', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  const receipts = await scenario.take([limit], 2);
  await scenario.remove([limit]);
  await scenario.settle(receipts, 0);
  deepEqual(await scenario.look(limit), passes(3, 0));
});

topic.addPerRate(
  'charges a cell that has been removed only what a hit costs more, and returns no more than it holds',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 10 });
    const first = await scenario.take([limit], 4);
    scenario.at(SECOND);
    const second = await scenario.take([limit], 5);
    scenario.at(2 * SECOND);
    await scenario.remove([limit]);
    await scenario.hit(limit, 2);
    await scenario.settle(first, 6);
    equal(await scenario.left(limit), 6);
    await scenario.settle(second, 0);
    // A bucket, and a window of the calendar, are the same after a removal.
    const isSame = strategy === 'token-bucket' || strategy === 'calendar-window';
    equal(await scenario.left(limit), isSame ? 10 : 6);
  },
);

topic.addPerRate('returns units to the current window without a receipt', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.hit(limit, 3);
  await scenario.refundCurrent(limit, 2);
  equal(await scenario.left(limit), 2);
});

topic.addPerRate('never returns more than the capacity', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.refundCurrent(limit, 2);
  deepEqual(await scenario.look(limit), passes(3, 0));
  await scenario.hit(limit);
  await scenario.refundCurrent(limit, 5);
  deepEqual(await scenario.look(limit), passes(3, 0));
  equal((await scenario.hit(limit, 3)).remaining, 0);
});

topic.addPerStrategy(
  'settles a hit of one plan in a cell shared with another plan',
  async (scenario, strategy) => {
    const plan = (amount: number): ReturnType<typeof limitOf> =>
      limitOf(strategy, { id: 'plan', amount, period: HOUR });
    const receipts = await scenario.take([plan(5)], 3);
    await scenario.hit(plan(10), 4);
    await scenario.settle(receipts, 1);
    equal(await scenario.left(plan(10)), 5);
    await scenario.settle(
      receipts.map((receipt) => ({ ...receipt, cost: 1 })),
      4,
    );
    equal(await scenario.left(plan(10)), 2);
  },
);

topic.addPerStrategy(
  'never admits more if the clock goes back between hit and settlement',
  async (scenario, strategy) => {
    const limit = limitOf(strategy);
    const receipts = await scenario.take([limit], 2);
    await scenario.hit(limit);
    scenario.at(-5 * SECOND);
    await scenario.settle(receipts, 1);
    equal((await scenario.look(limit)).remaining <= 1, true);
  },
);

topic.add(
  'moving-window: settles a hit made after the clock went back, whatever hits were before it',
  ['moving-window'],
  async (scenario) => {
    const limit = limitOf('moving-window', { amount: 6 });
    await scenario.hit(limit);
    scenario.at(SECOND);
    await scenario.hit(limit);
    scenario.at(-5 * SECOND); // both hits count from now on, in one entry with the next
    const receipts = await scenario.take([limit], 3);
    await scenario.settle(receipts, 0);
    deepEqual(await scenario.look(limit), passes(4, MINUTE));
  },
);

topic.addPerStrategy('returns the state after the settlement', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 10 });
  const receipts = await scenario.take([limit], 8);
  const result = await scenario.settleAll(receipts.map((receipt) => ({ ...receipt, actual: 3 })));
  const { remaining, resetAfter } = await scenario.look(limit, 0);
  deepEqual(seen(result), [passes(remaining, resetAfter)]);
});

topic.add('settles a batch of every strategy', strategyNames, async (scenario) => {
  const limits = strategyNames.map((strategy) => limitOf(strategy));
  await scenario.consume(hitsOn(limits));
  await scenario.settle(await scenario.take(limits, 2), 0);
  deepEqual(
    await scenario.leftOf(limits),
    limits.map(() => 2),
  );
});

topic.add('settles hits of several identities', ['fixed-window'], async (scenario) => {
  const limit = limitOf('fixed-window');
  const identities = ['conformance/first', 'conformance/second', 'conformance/third'];
  const taken = await Promise.all(identities.map((identity) => scenario.take([limit], 2, identity)));
  await scenario.settle(taken.flat(), 0);
  const left = await Promise.all(identities.map((identity) => scenario.left(limit, identity)));
  deepEqual(left, [3, 3, 3]);
});

topic.addPerStrategy('settles two hits on one cell in one call', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 10 });
  const first = await scenario.take([limit], 4);
  const second = await scenario.take([limit], 4);
  await scenario.settle([...first, ...second], 1);
  equal(await scenario.left(limit), 8);
});

topic.addPerRate('settles during a block, and neither sets nor lifts one', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 3, block: [HOUR] });
  const receipts = await scenario.take([limit], 3);
  deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
  await scenario.settle(receipts, 1);
  deepEqual(await scenario.look(limit), refused(0, HOUR, HOUR));
  await scenario.block(limit, 0);
  equal(await scenario.left(limit), 2);
});

topic.addPerRate(
  'a limit by outcome does not block while reservations are pending, and does once they count',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 3, block: [HOUR], refundable: true });
    const receipts = [];
    for (let hit = 0; hit < 3; hit++) receipts.push(...(await scenario.take([limit])));
    const { allowed, retryAfter } = await scenario.hit(limit);
    deepEqual({ allowed, blocked: retryAfter === HOUR }, { allowed: false, blocked: false });
    await scenario.settle(receipts, 1);
    deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
  },
);

topic.addPerRate('a limit by outcome never blocks for hits that do not count', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 3, block: [HOUR], refundable: true });
  const receipts = await scenario.take([limit], 3);
  equal((await scenario.hit(limit)).allowed, false);
  await scenario.settle(receipts, 0);
  deepEqual((await scenario.hit(limit, 3)).allowed, true);
});

topic.add('moving-window: settles the hit at its time', ['moving-window'], async (scenario) => {
  const limit = limitOf('moving-window');
  await scenario.hit(limit);
  scenario.at(10 * SECOND);
  const receipts = await scenario.take([limit], 1);
  scenario.at(20 * SECOND);
  await scenario.hit(limit);
  const emptied = await scenario.settle(receipts, 0);
  deepEqual(await scenario.look(limit), passes(1, 40 * SECOND));
  await scenario.settle(emptied, 1);
  scenario.at(60 * SECOND);
  deepEqual(await scenario.look(limit), passes(1, 10 * SECOND));
  scenario.at(70 * SECOND);
  deepEqual(await scenario.look(limit), passes(2, 10 * SECOND));
});

topic.add(
  'sliding-window-counter: settles in the previous window, by its weight',
  ['sliding-window-counter'],
  async (scenario) => {
    const limit = limitOf('sliding-window-counter', { amount: 10 });
    await scenario.hit(limit, 4);
    const receipts = await scenario.take([limit], 4);
    scenario.at(MINUTE + 30 * SECOND);
    equal(await scenario.left(limit), 6);
    const emptied = await scenario.settle(receipts, 0);
    equal(await scenario.left(limit), 8);
    await scenario.settle(emptied, 6);
    equal(await scenario.left(limit), 5);
  },
);

topic.add(
  'token-bucket: returns only tokens that cannot have been refilled since',
  ['token-bucket'],
  async (scenario) => {
    const limit = limitOf('token-bucket', { amount: 6 });
    const receipts = await scenario.take([limit], 6);
    scenario.at(20 * SECOND); // two tokens have been refilled
    deepEqual(await scenario.look(limit), passes(2, 10 * SECOND));
    await scenario.settle(receipts, 1); // five fewer, of which two have been refilled
    deepEqual(await scenario.look(limit), passes(5, 10 * SECOND));
  },
);

topic.add(
  'token-bucket: is in debt after a settlement above the capacity',
  ['token-bucket'],
  async (scenario) => {
    const limit = limitOf('token-bucket');
    await scenario.settle(await scenario.take([limit], 3), 6);
    deepEqual(await scenario.look(limit), refused(0, 80 * SECOND, 80 * SECOND));
  },
);

topic.add(
  'fixed-window-elastic-expiry: a settlement does not extend the window',
  ['fixed-window-elastic-expiry'],
  async (scenario) => {
    const limit = limitOf('fixed-window-elastic-expiry');
    await scenario.hit(limit, 2);
    scenario.at(30 * SECOND);
    const receipts = await scenario.take([limit], 1);
    scenario.at(40 * SECOND);
    await scenario.settle(receipts, 0);
    deepEqual(await scenario.look(limit, 2), refused(1, 50 * SECOND, 50 * SECOND));
  },
);

export const settlementsCases = topic.cases;
