import { startChild } from '../support/child.mjs';
import { formatNumber, printHeading, printTable, printTarget } from '../support/report.mjs';

const MAX_KEYS = 1_000_000;
const IDENTITIES = 10_000_000;
const STEP = 1_000_000;
/** After the windows have ended: newcomers replace those that have expired. */
const NEWCOMERS = 3_000_000;
const OVERFLOW_CELLS = 4096;

/** Memory under a flood of new identities. */
export async function run() {
  printHeading(
    'Flood of distinct identities',
    `${IDENTITIES.toLocaleString('en')} identities, one hit each, on a MemoryStorage with maxKeys ${MAX_KEYS.toLocaleString('en')}; before them, 1,000 others reach their limit. Then all\n` +
      'windows end, the 1,000 reach their limit again, and more identities come, each of which may replace an expired one. Heap after\n' +
      'a collection, keys included. µs: processor time per hit, including the creation of the key. Forgotten: of the 1,000, those not refused.',
  );
  const child = startChild('flood', MAX_KEYS);
  try {
    const keyBytes = await child.ask('prepare');
    const flood = await floodInSteps(child, IDENTITIES);
    await child.ask('endWindows');
    const replaced = await floodInSteps(child, NEWCOMERS);
    print([...flood, ...replaced], keyBytes);
    judge(flood, replaced, keyBytes, await child.ask('reset'));
  } finally {
    await child.stop();
  }
}

async function floodInSteps(child, identities) {
  const steps = [];
  for (let flooded = 0; flooded < identities; flooded += STEP) steps.push(await child.ask('flood', STEP));
  return steps;
}

function print(steps, keyBytes) {
  printTable(
    ['identities', 'heap MB', 'bytes per cell', 'without its key', 'µs per hit', 'forgotten'],
    steps.map(({ bytes, microseconds, forgotten }, index) => [
      ((index + 1) * STEP).toLocaleString('en') + ((index + 1) * STEP > IDENTITIES ? ', replacing' : ''),
      formatNumber(bytes / 1e6),
      formatNumber(bytes / MAX_KEYS),
      formatNumber(bytes / MAX_KEYS - keyBytes),
      formatNumber(microseconds),
      forgotten,
    ]),
  );
}

function judge(flood, replaced, keyBytes, cells) {
  const largest = (steps) => Math.max(...steps.map(({ bytes }) => bytes));
  const forgotten = [...flood, ...replaced].reduce((sum, step) => sum + step.forgotten, 0);
  const atCap = flood[0].bytes;
  printTarget('identities held, those of a shared cell as one', cells, 'at most', MAX_KEYS + OVERFLOW_CELLS);
  printTarget('limited identities forgotten', forgotten, 'at most', 0);
  printTarget('bytes per cell without its key', largest(flood) / MAX_KEYS - keyBytes, 'at most', 105, ' B');
  printTarget('largest heap of the flood to that at the cap', largest(flood) / atCap, 'at most', 1.05, '×');
  printTarget(
    'largest heap while expired ones are replaced, to that at the cap',
    largest(replaced) / atCap,
    'at most',
    1.1,
    '×',
  );
}
