import { deepEqual, equal } from 'node:assert/strict';
import { receiptsOf, type Receipt } from '../../../core/contract.js';
import type { Limit } from '../../../core/limit.js';
import { strategyNames } from '../../../strategies/strategies.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, limitOf, MINUTE, passes, refused, SECOND, seen, type Scenario } from '../scenario.js';
import { strategyTraces } from '../strategy-traces.js';

const topic = new CasesOf('refunds');

topic.addPerStrategy('refunds exactly what a receipt names', async (scenario, strategy) => {
  const [limit, twin] = [limitOf(strategy, { amount: 5 }), limitOf(strategy, { id: 'twin', amount: 5 })];
  await scenario.consume(hitsOn([limit, twin], 2));
  scenario.at(SECOND);
  const receipts = await take(scenario, [limit], 3);
  scenario.at(2 * SECOND);
  await scenario.refund(receipts);

  const [refunded, untouched] = seen(await scenario.peek(hitsOn([limit, twin])));
  const moved = strategyTraces[strategy].isElastic ? SECOND : 0;
  deepEqual(refunded, untouched && { ...untouched, resetAfter: untouched.resetAfter + moved });
});

topic.addPerStrategy('is the same as never hit once everything is refunded', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.refund(await take(scenario, [limit], 3));
  deepEqual(await scenario.look(limit), passes(3, 0));
  equal((await scenario.hit(limit, 3)).allowed, true);
  equal((await scenario.hit(limit)).allowed, false);
});

topic.addPerStrategy('refunds the earlier of two hits and keeps the later', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  const receipts = await take(scenario, [limit], 2);
  await scenario.hit(limit);
  await scenario.refund(receipts);
  equal(await scenario.left(limit), 2);
});

topic.addPerStrategy('gives nothing back to a window later than the receipt', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  const receipts = await take(scenario, [limit], 2);
  scenario.at(2 * MINUTE);
  const { resetAfter } = await scenario.hit(limit, 2);
  await scenario.refund(receipts);
  deepEqual(await scenario.look(limit), passes(1, resetAfter));
});

topic.addPerStrategy('accepts a late refund, when its window has expired', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  const receipts = await take(scenario, [limit], 3);
  scenario.at(2 * MINUTE);
  await scenario.refund(receipts);
  deepEqual(await scenario.look(limit), passes(3, 0));
});

topic.addPerStrategy('refunds the current window without a receipt', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.hit(limit, 3);
  await refundCurrent(scenario, limit, 2);
  equal(await scenario.left(limit), 2);
});

topic.addPerStrategy('never refunds more than the capacity', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await refundCurrent(scenario, limit, 2);
  deepEqual(await scenario.look(limit), passes(3, 0));
  await scenario.hit(limit);
  await refundCurrent(scenario, limit, 5);
  deepEqual(await scenario.look(limit), passes(3, 0));
  equal((await scenario.hit(limit, 3)).remaining, 0);
});

topic.addPerStrategy('gives nothing back to a cell that has been removed', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  const receipts = await take(scenario, [limit], 2);
  await scenario.remove([limit]);
  await scenario.refund(receipts);
  deepEqual(await scenario.look(limit), passes(3, 0));
});

topic.add('refunds a batch of every strategy in one call', strategyNames, async (scenario) => {
  const limits = strategyNames.map((strategy) => limitOf(strategy));
  await scenario.consume(hitsOn(limits));
  await scenario.refund(await take(scenario, limits, 2));
  deepEqual(
    await scenario.leftOf(limits),
    limits.map(() => 2),
  );
});

topic.add('refunds several identities in one call', ['fixed-window'], async (scenario) => {
  const limit = limitOf('fixed-window');
  const identities = ['conformance/first', 'conformance/second', 'conformance/third'];
  const result = await scenario.consume(identities.flatMap((identity) => hitsOn([limit], 2, identity)));
  await scenario.refund(receiptsOf(result));
  const left = await Promise.all(identities.map((identity) => scenario.left(limit, identity)));
  deepEqual(left, [3, 3, 3]);
});

topic.add('moving-window: takes back the hit that the receipt names', ['moving-window'], async (scenario) => {
  const limit = limitOf('moving-window');
  await scenario.hit(limit);
  scenario.at(10 * SECOND);
  const receipts = await take(scenario, [limit], 1);
  scenario.at(20 * SECOND);
  await scenario.hit(limit);
  await scenario.refund(receipts);
  deepEqual(await scenario.look(limit), passes(1, 40 * SECOND));
  scenario.at(60 * SECOND);
  deepEqual(await scenario.look(limit), passes(2, 20 * SECOND));
});

topic.add(
  'sliding-window-counter: refunds the previous window, by its weight',
  ['sliding-window-counter'],
  async (scenario) => {
    const limit = limitOf('sliding-window-counter', { amount: 10 });
    await scenario.hit(limit, 4);
    const receipts = await take(scenario, [limit], 4);
    scenario.at(MINUTE + 30 * SECOND);
    equal(await scenario.left(limit), 6);
    await scenario.refund(receipts);
    equal(await scenario.left(limit), 8);
  },
);

topic.add(
  'token-bucket: refunds only what has not been refilled since',
  ['token-bucket'],
  async (scenario) => {
    const limit = limitOf('token-bucket');
    const first = await take(scenario, [limit], 1);
    const second = await take(scenario, [limit], 2);
    scenario.at(20 * SECOND);
    await scenario.refund(first); // its token has been refilled already
    deepEqual(await scenario.look(limit), passes(1, 20 * SECOND));
    scenario.at(30 * SECOND);
    await scenario.refund(second); // half a token of its two has been refilled
    deepEqual(await scenario.look(limit), passes(3, 0));
  },
);

topic.add(
  'fixed-window-elastic-expiry: a refund does not move the end back',
  ['fixed-window-elastic-expiry'],
  async (scenario) => {
    const limit = limitOf('fixed-window-elastic-expiry');
    await scenario.hit(limit, 2);
    scenario.at(30 * SECOND);
    await scenario.refund(await take(scenario, [limit], 1));
    deepEqual(await scenario.look(limit, 2), refused(1, MINUTE, MINUTE));
  },
);

async function take(scenario: Scenario, limits: readonly Limit[], cost: number): Promise<Receipt[]> {
  const receipts = receiptsOf(await scenario.consume(hitsOn(limits, cost)));
  equal(receipts.length, limits.length, 'every limit has given a receipt');
  return receipts;
}

function refundCurrent(scenario: Scenario, limit: Limit, cost: number): Promise<void> {
  return scenario.refund(hitsOn([limit], cost).map((hit) => ({ ...hit, window: 'current' })));
}

export const refundsCases = topic.cases;
