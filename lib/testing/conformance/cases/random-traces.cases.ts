import { strategyNames } from '../../../strategies/strategies.js';
import { CasesOf } from '../define-cases.js';
import { Random } from '../random.js';
import { plansOf, RandomTrace } from '../random-trace.js';

const topic = new CasesOf('random traces');

const STEPS = 200;

for (const seed of [1, 2]) {
  topic.add(
    `returns the results of the pure strategies for a random trace (seed ${seed})`,
    strategyNames,
    async (scenario) => new RandomTrace(scenario, new Random(seed)).run(STEPS),
  );
}

topic.addPerStrategy(
  'returns the results of the pure strategy for a random trace of one cell',
  async (scenario, strategy) =>
    new RandomTrace(scenario, new Random(4), [plansOf(strategy, [7, 3, 5])]).run(STEPS),
);

export const randomTracesCases = topic.cases;
