import { batchesCases } from './cases/batches.cases.js';
import { blocksCases } from './cases/blocks.cases.js';
import { boundariesCases } from './cases/boundaries.cases.js';
import { clocksCases } from './cases/clocks.cases.js';
import { concurrencyCases } from './cases/concurrency.cases.js';
import { costsCases } from './cases/costs.cases.js';
import { keysCases } from './cases/keys.cases.js';
import { lifecycleCases } from './cases/lifecycle.cases.js';
import { metersCases } from './cases/meters.cases.js';
import { peekingCases } from './cases/peeking.cases.js';
import { perKeyMethodsCases } from './cases/per-key-methods.cases.js';
import { randomTracesCases } from './cases/random-traces.cases.js';
import { settlementsCases } from './cases/settlements.cases.js';
import { settingsCases } from './cases/settings.cases.js';
import { sharedCellsCases } from './cases/shared-cells.cases.js';
import { slotsCases } from './cases/slots.cases.js';
import { waitingCases } from './cases/waiting.cases.js';
import type { ConformanceCase } from './conformance-case.js';

/** Every case of the conformance suite, in the order {@link describeStorage} registers them. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...boundariesCases,
  ...costsCases,
  ...peekingCases,
  ...settlementsCases,
  ...keysCases,
  ...sharedCellsCases,
  ...slotsCases,
  ...batchesCases,
  ...blocksCases,
  ...clocksCases,
  ...concurrencyCases,
  ...metersCases,
  ...waitingCases,
  ...randomTracesCases,
  ...perKeyMethodsCases,
  ...lifecycleCases,
  ...settingsCases,
];
