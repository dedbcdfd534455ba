import { startChild } from '../support/child.mjs';
import { drawBars } from '../support/chart.mjs';
import {
  formatNumber,
  printCaption,
  printHeading,
  printTable,
  printTarget,
  showChart,
} from '../support/report.mjs';
import { interleave, median, medianRatio } from '../support/statistics.mjs';
import { BARE_STORE, CALENDAR, HIT, JOINED, MAP, MOVING, OURS, subjects } from '../subjects.mjs';

const ROUNDS = { least: 3, most: 7, milliseconds: 25_000 };
const SETTINGS = [
  { keys: 10_000, access: 'random' },
  { keys: 100_000, access: 'random' },
  { keys: 100_000, access: 'in order' },
];

/** Nanoseconds per decision in memory. */
export async function run() {
  printHeading(
    'Memory: one decision',
    'Five hits per key on fresh stores: the first, which makes the cell, and the later ones; ns of processor time per hit, garbage\n' +
      `collection included. One process per subject, called in turn; one warm-up round, then ${ROUNDS.least} to ${ROUNDS.most}; medians.\n` +
      'Peers that answer with promises are awaited. × ours: median over the rounds of the ratio to `consume`, of all hits and of\n' +
      'the later ones. Random access misses the processor’s caches as real traffic does; in order, the processor\n' +
      'fetches ahead.',
  );
  const results = [];
  for (const setting of SETTINGS) {
    const times = await timeAll(setting);
    results.push(times);
    printCaption(
      `${setting.keys.toLocaleString('en')} keys, ${setting.access}, ${times.get(OURS).length} rounds:`,
    );
    print(times);
  }
  for (const [index, { keys, access }] of SETTINGS.entries()) {
    if (keys === 100_000) judge(results[index], access);
  }
  return { [PICTURE]: chartOf(results) };
}

const PICTURE = 'benchmark-memory.svg';

/** Why a decision takes longer than the bare Map where most of its memory is in the processor's caches. */
const RESULT = 'it reads the limit and its strategy, and makes a result';
/** Why a hit by hand takes longer than one of a storage. */
const STRINGS =
  'a key contains all identifiers, so each hit makes, hashes and compares a string, for which the other row is given a ready one';

function chartOf(results) {
  showChart(PICTURE, 'Nanoseconds per decision in memory');
  return drawBars(
    results.map((times, index) => ({
      title: `${SETTINGS[index].keys.toLocaleString('en')} keys, ${SETTINGS[index].access}: ns per hit`,
      rows: [...times].map(([name, rounds]) => {
        const value = median(pick(rounds, 'all'));
        return { name, value, label: formatNumber(value), isOurs: name.startsWith('nestjs-limits') };
      }),
    })),
  );
}

function print(times) {
  printTable(
    ['', 'first hit', 'later hit', 'all', 'least', '× ours', 'later × ours'],
    [...times].map(([name, rounds]) => [
      name,
      ...['first', 'later', 'all'].map((part) => formatNumber(median(pick(rounds, part)))),
      formatNumber(Math.min(...pick(rounds, 'all'))),
      formatNumber(ratioToOurs(times, name, 'all')),
      formatNumber(ratioToOurs(times, name, 'later')),
    ]),
  );
}

function judge(times, access) {
  for (const part of ['all', 'later']) {
    const where = `at 100k keys, ${access}, ${part === 'all' ? 'all hits' : 'later hits'}`;
    const to = (name, floor) => medianRatio(pick(times.get(name), part), pick(times.get(floor), part));
    printTarget(`one decision to the bare Map ${where}`, to(OURS, MAP), 'at most', 1.1, '×', RESULT);
    printTarget(`moving to fixed window ${where}`, to(MOVING, OURS), 'at most', 2, '×');
    printTarget(`limiter.hit to consume ${where}`, to(HIT, OURS), 'at most', 1.4, '×', STRINGS);
    printTarget(`limiter.hit to consume of a joined identity ${where}`, to(HIT, JOINED), 'at most', 1.4, '×');
    const calendar = ratioToOurs(times, CALENDAR, part);
    printTarget(`calendar to fixed window ${where}`, calendar, 'at most', 1.1, '×');
    const [peer, ratio] = cheapestPeer(times, part);
    printTarget(`the cheapest peer, ${peer}, to ours ${where}`, ratio, 'at least', 1, '×');
  }
}

/** The peer that takes least. The bare store of hitlimit is none: it compares nothing with a limit. */
function cheapestPeer(times, part) {
  const peers = [...times.keys()].filter(
    (name) => !name.startsWith('nestjs-limits') && name !== MAP && name !== BARE_STORE,
  );
  const ratios = peers.map((peer) => [peer, ratioToOurs(times, peer, part)]);
  return ratios.toSorted(([, one], [, other]) => one - other)[0];
}

function ratioToOurs(times, name, part) {
  return medianRatio(pick(times.get(name), part), pick(times.get(OURS), part));
}

function pick(rounds, part) {
  return rounds.map((round) => round[part]);
}

async function timeAll({ keys, access }) {
  const names = Object.keys(subjects);
  const children = new Map(names.map((name) => [name, startChild('store', name, keys, access)]));
  try {
    for (const child of children.values()) await child.ask('time');
    return await interleave(names, ROUNDS, (name) => children.get(name).ask('time'));
  } finally {
    await Promise.all([...children.values()].map((child) => child.stop()));
  }
}
