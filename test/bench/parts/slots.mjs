import '../../support/typescript.mjs';
import { startChild } from '../support/child.mjs';
import { formatNumber, printCaption, printHeading, printTable, printTarget } from '../support/report.mjs';
import { interleave, median, medianRatio } from '../support/statistics.mjs';
import { MOVING as MOVING_IN_MEMORY, SLOT as SLOT_IN_MEMORY } from '../subjects.mjs';
import {
  DECISIONS,
  IN_FLIGHT,
  MOVING as MOVING_ON_REDIS,
  SLOT as SLOT_ON_REDIS,
} from '../redis-subjects.mjs';

const ROUNDS = { least: 5, most: 9, milliseconds: 60_000 };
const TARGET = 2.2;
const SETTINGS = [
  { keys: 10_000, access: 'random' },
  { keys: 100_000, access: 'random' },
  { keys: 100_000, access: 'in order' },
];

/** Processor time of a slot that is taken and released, beside a hit of a moving window. */
export async function run() {
  printHeading(
    'Slots: one taken and released',
    'Processor time of taking a slot and releasing it, and of one hit of a moving window. Two processes, called in turn over\n' +
      `${ROUNDS.least} to ${ROUNDS.most} rounds; medians, and the median of the ratios within a round. In memory: ns, as in "Decisions in memory". On\n` +
      `Redis: µs of the server and of Node, ${IN_FLIGHT} in flight, ${DECISIONS.toLocaleString('en')} timed at a time; a slot is taken by acquire, which also\n` +
      'registers it for renewal, and is released in a second call.',
  );
  for (const { keys, access } of SETTINGS)
    await compare(`memory, ${keys.toLocaleString('en')} keys, ${access}`, ['all', 'later'], 'ns', {
      moving: () => startChild('store', MOVING_IN_MEMORY, keys, access),
      slot: () => startChild('store', SLOT_IN_MEMORY, keys, access),
    });
  const { startRedis } = await import('../../support/servers/redis.ts');
  const server = await startRedis();
  try {
    await compare('Redis', ['redis', 'node'], 'µs', {
      moving: () => startChild('redis', MOVING_ON_REDIS, server.uri, 1),
      slot: () => startChild('redis', SLOT_ON_REDIS, server.uri, 1),
    });
  } finally {
    await server.stop();
  }
}

/** What the children call the parts of their answers. */
const NAMES = { all: 'all hits', later: 'later hits', redis: 'Redis CPU', node: 'Node CPU' };

async function compare(where, parts, unit, start) {
  const children = { moving: start.moving(), slot: start.slot() };
  try {
    for (const child of Object.values(children)) await child.ask('time');
    const times = await interleave(Object.keys(children), ROUNDS, (name) => children[name].ask('time'));
    const series = (name, part) => times.get(name).map((round) => round[part]);
    const ratio = (part) => medianRatio(series('slot', part), series('moving', part));
    printCaption(`${where}, ${times.get('slot').length} rounds:`);
    printTable(
      ['', `a moving window's hit, ${unit}`, `a slot, ${unit}`, 'ratio'],
      parts.map((part) => [
        NAMES[part],
        formatNumber(median(series('moving', part))),
        formatNumber(median(series('slot', part))),
        formatNumber(ratio(part)),
      ]),
    );
    for (const part of parts)
      printTarget(`a slot to a hit, ${where}, ${NAMES[part]}`, ratio(part), 'at most', TARGET, '×');
  } finally {
    await Promise.all(Object.values(children).map((child) => child.stop()));
  }
}
