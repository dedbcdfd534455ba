import { rateStrategyNames, strategyNames } from '../../strategies/strategies.js';
import type { RateStrategyName, StrategyName } from '../../strategies/strategy.js';
import type { ConformanceCase } from './conformance-case.js';
import { Scenario } from './scenario.js';

/** Collects the cases of one topic. */
export class CasesOf {
  readonly cases: ConformanceCase[] = [];

  constructor(private readonly topic: string) {}

  /** Adds a case that uses the given strategies. */
  add(name: string, strategies: readonly StrategyName[], run: (scenario: Scenario) => Promise<void>): void {
    this.cases.push({
      name,
      topic: this.topic,
      strategies,
      run: (context) => run(new Scenario(context)),
    });
  }

  /** Adds one case per strategy. */
  addPerStrategy(name: string, run: (scenario: Scenario, strategy: StrategyName) => Promise<void>): void {
    for (const strategy of strategyNames) {
      this.add(`${strategy}: ${name}`, [strategy], (scenario) => run(scenario, strategy));
    }
  }

  /** Adds one case per strategy whose units come back with time. */
  addPerRate(name: string, run: (scenario: Scenario, strategy: RateStrategyName) => Promise<void>): void {
    for (const strategy of rateStrategyNames) {
      this.add(`${strategy}: ${name}`, [strategy], (scenario) => run(scenario, strategy));
    }
  }
}
