import { deepEqual, equal, ok } from 'node:assert/strict';
import type { Limit } from '../../../core/limit.js';
import { CasesOf } from '../define-cases.js';
import {
  DAY,
  hit,
  hitsOn,
  HOUR,
  limitOf,
  look,
  MINUTE,
  onlyOne,
  passes,
  refused,
  SECOND,
  seen,
} from '../scenario.js';

const topic = new CasesOf('blocks');

topic.addPerRate('a refusal blocks the limit for the first duration', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 1, block: [10 * MINUTE, HOUR] });
  await scenario.hit(limit);
  scenario.at(1000);
  deepEqual(await scenario.hit(limit), refused(0, 10 * MINUTE, 10 * MINUTE));
  scenario.at(1000 + 10 * MINUTE - 1);
  deepEqual(await scenario.hit(limit), refused(0, 1, 1));
  scenario.at(1000 + 10 * MINUTE);
  deepEqual((await scenario.hit(limit)).allowed, true);
});

topic.addPerRate(
  'a refusal blocks the whole limit, even for a lower cost that would fit',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { block: [HOUR] });
    await scenario.hit(limit, 2);
    deepEqual(await scenario.hit(limit, 2), refused(0, HOUR, HOUR));
    deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
  },
);

topic.add('a block shorter than the window does not shorten the wait', ['fixed-window'], async (scenario) => {
  const limit = limitOf('fixed-window', { amount: 1, period: HOUR, block: [MINUTE] });
  await scenario.play(limit, [
    hit(0, passes(0, HOUR)),
    hit(1000, refused(0, HOUR - 1000, HOUR - 1000)),
    hit(2000, refused(0, HOUR - 2000, HOUR - 2000)),
    hit(HOUR - 1, refused(0, MINUTE, MINUTE)), // a refusal after the first block has ended begins another
    hit(HOUR - 1 + MINUTE, passes(0, HOUR)),
  ]);
});

topic.add(
  'each further refusal uses the next duration, and then the last one',
  ['fixed-window'],
  async (scenario) => {
    await scenario.play(oncePerMinute([MINUTE, 2 * MINUTE, 5 * MINUTE]), [
      hit(0, passes(0, 60_000)),
      hit(1000, refused(0, 60_000, 60_000)),
      hit(61_000, passes(0, 60_000)),
      hit(62_000, refused(0, 120_000, 120_000)),
      hit(182_000, passes(0, 60_000)),
      hit(183_000, refused(0, 300_000, 300_000)),
      hit(483_000, passes(0, 60_000)),
      hit(484_000, refused(0, 300_000, 300_000)),
    ]);
  },
);

topic.add(
  'a block starts with the first duration again once the longest one has passed without a refusal, and not one ms earlier',
  ['fixed-window'],
  async (scenario) => {
    const early = limitOf('fixed-window', { id: 'early', amount: 1, block: [MINUTE, 5 * MINUTE] });
    const late = limitOf('fixed-window', { id: 'late', amount: 1, block: [MINUTE, 5 * MINUTE] });
    for (const limit of [early, late]) {
      await scenario.hit(limit);
      deepEqual(await scenario.hit(limit), refused(0, MINUTE, MINUTE));
    }
    scenario.at(6 * MINUTE - 2);
    for (const limit of [early, late]) equal((await scenario.hit(limit)).allowed, true);
    scenario.at(6 * MINUTE - 1);
    deepEqual(await scenario.hit(early), refused(0, 5 * MINUTE, 5 * MINUTE));
    scenario.at(6 * MINUTE);
    deepEqual(await scenario.hit(late), refused(0, MINUTE, MINUTE));
  },
);

topic.add('hits during a block change nothing', ['fixed-window-elastic-expiry'], async (scenario) => {
  const limit = limitOf('fixed-window-elastic-expiry', { amount: 1, block: [2 * MINUTE, HOUR] });
  await scenario.play(limit, [
    hit(0, passes(0, 60_000)),
    hit(30_000, refused(0, 120_000, 120_000)), // also extends the elastic window to 90,000
    hit(60_000, refused(0, 90_000, 90_000)), // would extend it to 120,000
    hit(149_999, refused(0, 1, 1)), // and this one beyond the block
    hit(150_000, passes(0, 60_000)),
    hit(150_001, refused(0, HOUR, HOUR)), // the second duration, not the fifth
  ]);
});

topic.add('a cost above the capacity never blocks', ['fixed-window'], async (scenario) => {
  const limit = oncePerMinute([HOUR]);
  deepEqual(await scenario.hit(limit, 2), refused(1, 0, Infinity));
  deepEqual(await scenario.hit(limit), passes(0, MINUTE));
});

topic.add(
  'a cost above the capacity is never allowed, even during a block',
  ['fixed-window'],
  async (scenario) => {
    const limit = oncePerMinute([HOUR]);
    await scenario.hit(limit);
    await scenario.hit(limit);
    deepEqual(await scenario.hit(limit, 2), refused(0, HOUR, Infinity));
  },
);

topic.add('a block also refuses a cost of 0, which does not lift it', ['fixed-window'], async (scenario) => {
  const limit = oncePerMinute([HOUR]);
  await scenario.hit(limit);
  await scenario.hit(limit);
  deepEqual(await scenario.hit(limit, 0), refused(0, HOUR, HOUR));
  deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
});

topic.add('peeking sets no block, and reports one that is set', ['fixed-window'], async (scenario) => {
  await scenario.play(oncePerMinute([HOUR]), [
    hit(0, passes(0, 60_000)),
    look(1000, refused(0, 59_000, 59_000)),
    hit(60_000, passes(0, 60_000)),
    hit(61_000, refused(0, HOUR, HOUR)),
    look(62_000, refused(0, HOUR - 1000, HOUR - 1000)),
  ]);
});

topic.add('a refusal blocks only the limit that refuses', ['fixed-window'], async (scenario) => {
  const roomy = limitOf('fixed-window', { id: 'roomy', block: [HOUR] });
  const narrow = limitOf('fixed-window', { id: 'narrow', amount: 1, block: [2 * HOUR] });
  await scenario.consume(hitsOn([roomy, narrow]));
  const result = await scenario.consume(hitsOn([roomy, narrow]));
  deepEqual(seen(result), [passes(2, MINUTE), refused(0, 2 * HOUR, 2 * HOUR)]);
  deepEqual(await scenario.hit(roomy), passes(1, MINUTE));
});

topic.add(
  'a blocked limit refuses a batch, and the others consume nothing',
  ['fixed-window'],
  async (scenario) => {
    const blocked = limitOf('fixed-window', { id: 'blocked', amount: 1, block: [HOUR] });
    const roomy = limitOf('fixed-window', { id: 'roomy', period: 3 * HOUR });
    await scenario.hit(blocked);
    await scenario.hit(blocked);
    scenario.at(2 * MINUTE);
    const result = await scenario.consume(hitsOn([roomy, blocked]));
    deepEqual(seen(result), [passes(3, 0), refused(0, HOUR - 2 * MINUTE, HOUR - 2 * MINUTE)]);
    equal(await scenario.left(roomy), 3);
  },
);

topic.add('a block applies to one identity only', ['fixed-window'], async (scenario) => {
  const limit = oncePerMinute([HOUR]);
  await scenario.hit(limit, 1, 'conformance/blocked');
  await scenario.hit(limit, 1, 'conformance/blocked');
  deepEqual(await scenario.hit(limit, 1, 'conformance/free'), passes(0, MINUTE));
});

topic.add(
  'a shadow limit that is blocked reports it and refuses nothing',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOf('fixed-window', { amount: 1, mode: 'shadow', block: [HOUR] });
    await scenario.hit(limit);
    scenario.at(MINUTE - 1);
    await scenario.hit(limit);
    scenario.at(MINUTE);
    const result = await scenario.consume(hitsOn([limit]));
    equal(result.allowed, true);
    deepEqual(seen(result), [refused(0, HOUR - 1, HOUR - 1)]);
  },
);

topic.addPerRate('remove lifts a block and forgets its level', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 1, block: [HOUR, 2 * HOUR] });
  for (let times = 0; times < 2; times++) {
    deepEqual((await scenario.hit(limit)).allowed, true);
    deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
    await scenario.remove([limit]);
  }
  deepEqual((await scenario.look(limit)).remaining, 1);
});

topic.addPerRate('a block by hand blocks the limit, and keeps the count', async (scenario, strategy) => {
  const limit = limitOf(strategy, { block: [MINUTE, HOUR] });
  await scenario.block(limit, 10 * SECOND);
  deepEqual(await scenario.hit(limit), refused(0, 10 * SECOND, 10 * SECOND));
  scenario.at(10 * SECOND);
  equal((await scenario.hit(limit)).remaining, 2);
  await scenario.block(limit, 20 * SECOND);
  deepEqual((await scenario.look(limit)).retryAfter, 20 * SECOND);
  await scenario.block(limit, 0);
  equal(await scenario.left(limit), 2);
});

topic.add(
  'a block by hand counts as the first: the next refusal uses the second duration',
  ['fixed-window'],
  async (scenario) => {
    const limit = oncePerMinute([MINUTE, HOUR]);
    await scenario.block(limit, SECOND);
    scenario.at(SECOND);
    equal((await scenario.hit(limit)).allowed, true);
    deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
  },
);

topic.add(
  'blocks of several identities are set and lifted in one call',
  ['fixed-window'],
  async (scenario) => {
    const limit = oncePerMinute([HOUR]);
    const identities = ['conformance/a', 'conformance/b', 'conformance/c'];
    const blocks = identities.map((identity) => ({ identity, limit, duration: MINUTE }));
    await scenario.storage.block(blocks);
    await scenario.storage.block(blocks.slice(1).map((block) => ({ ...block, duration: 0 })));
    deepEqual(await Promise.all(identities.map((identity) => scenario.left(limit, identity))), [0, 1, 1]);
  },
);

topic.add('a block lasts longer than 30 days', ['fixed-window'], async (scenario) => {
  const limit = oncePerMinute([60 * DAY]);
  await scenario.hit(limit);
  await scenario.hit(limit);
  scenario.at(60 * DAY - 1);
  deepEqual(await scenario.hit(limit), refused(0, 1, 1));
  scenario.at(60 * DAY);
  deepEqual(await scenario.hit(limit), passes(0, MINUTE));
  await scenario.remove([limit]);
});

topic.addPerRate(
  'a block after three refusals begins with the third one within a period',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 1, period: HOUR, block: [2 * HOUR, 3 * HOUR], blockAfter: 3 });
    await scenario.hit(limit);
    for (const at of [1000, 2000]) {
      scenario.at(at);
      const { retryAfter } = await scenario.hit(limit);
      ok(retryAfter <= HOUR, `it is not blocked after the refusal at ${at}`);
    }
    scenario.at(3000);
    deepEqual(await scenario.hit(limit), refused(0, 2 * HOUR, 2 * HOUR));
    scenario.at(3000 + 2 * HOUR);
    equal((await scenario.hit(limit)).allowed, true);
  },
);

topic.add(
  'refusals for a block count in a period from the first of them',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOf('fixed-window', { amount: 1, block: [HOUR], blockAfter: 2 });
    await scenario.play(limit, [
      hit(0, passes(0, MINUTE)),
      hit(59_999, refused(0, 1, 1)),
      hit(MINUTE, passes(0, MINUTE)),
      hit(2 * MINUTE - 1, refused(0, 1, 1)), // a period after the first refusal, so the first of a new one
      hit(2 * MINUTE, passes(0, MINUTE)),
      hit(2 * MINUTE + 1, refused(0, HOUR, HOUR)),
    ]);
  },
);

topic.add(
  'refusals by other limits of a batch, and hits of cost 0, lead to no block after several refusals',
  ['fixed-window'],
  async (scenario) => {
    const patient = limitOf('fixed-window', { id: 'patient', amount: 2, block: [HOUR], blockAfter: 2 });
    const narrow = limitOf('fixed-window', { id: 'narrow', amount: 1 });
    await scenario.consume(hitsOn([patient, narrow]));
    for (let refusals = 0; refusals < 3; refusals++) await scenario.consume(hitsOn([patient, narrow]));
    deepEqual(await scenario.hit(patient), passes(0, MINUTE));
    deepEqual(await scenario.hit(patient), refused(0, MINUTE, MINUTE));
    for (let looks = 0; looks < 3; looks++) deepEqual(await scenario.hit(patient, 0), passes(0, MINUTE));
    deepEqual(await scenario.hit(patient), refused(0, HOUR, HOUR));
  },
);

topic.add(
  'an outcome tells whether a block refused the hit, or began with it',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOf('fixed-window', { amount: 1, block: [HOUR], blockAfter: 2 });
    const told: (true | undefined)[] = [];
    for (let count = 0; count < 4; count++)
      told.push(onlyOne((await scenario.consume(hitsOn([limit]))).outcomes).blocked);
    told.push(onlyOne((await scenario.peek(hitsOn([limit]))).outcomes).blocked);
    deepEqual(told, [undefined, undefined, true, true, true]);
  },
);

topic.add(
  'lifting a block by hand also forgets the refusals that were counted',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOf('fixed-window', { amount: 1, block: [HOUR], blockAfter: 2 });
    await scenario.hit(limit);
    await scenario.hit(limit);
    await scenario.block(limit, 0);
    deepEqual(await scenario.hit(limit), refused(0, MINUTE, MINUTE));
    deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
  },
);

topic.add(
  'a limit by outcome counts only refusals that do not depend on reservations',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOf('fixed-window', { amount: 1, block: [HOUR], blockAfter: 2, refundable: true });
    const receipts = await scenario.take([limit]);
    for (let refusals = 0; refusals < 3; refusals++)
      deepEqual(await scenario.hit(limit), refused(0, MINUTE, MINUTE));
    await scenario.settle(receipts, 1);
    deepEqual(await scenario.hit(limit), refused(0, MINUTE, MINUTE));
    deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
  },
);

topic.add(
  'a reservation that was never settled is dropped with its period, and the next period begins with the next reservation',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOf('fixed-window', { amount: 2, block: [SECOND, HOUR], refundable: true });
    await scenario.settle(await scenario.take([limit], 2), 2);
    deepEqual(await scenario.hit(limit), refused(0, MINUTE, MINUTE)); // its block keeps the level for an hour
    for (const second of [61, 125]) {
      scenario.at(second * SECOND);
      const receipts = await scenario.take([limit]);
      if (second === 125) await scenario.settle(receipts, 1);
    }
    scenario.at(190 * SECOND); // the reservation of second 61 was dropped at second 181
    await scenario.take([limit]);
    scenario.at(305 * SECOND);
    await scenario.settle(await scenario.take([limit], 2), 2);
    deepEqual(await scenario.hit(limit), refused(0, MINUTE, MINUTE)); // that of second 190 may still be refunded
    scenario.at(310 * SECOND);
    deepEqual(await scenario.hit(limit), refused(0, HOUR, HOUR));
  },
);

function oncePerMinute(block: readonly number[]): Limit {
  return limitOf('fixed-window', { amount: 1, block });
}

export const blocksCases = topic.cases;
