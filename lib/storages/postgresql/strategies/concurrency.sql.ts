import type { SqlStrategy } from './sql-strategy.js';

/** The cost is the low part of a stored number, and the end of the slot is the rest: a number of 63 bits. */
const COSTS = 2 ** 20;
const MAX_END = 2 ** 43 - 1;
const SLOT_END = `least(t + period, ${MAX_END})`;
const END = `(h.total / ${COSTS})`;
const COST = `(h.total % ${COSTS})`;

/** Selects the slots of the current log. */
const LOG = 'FROM @schema.rate_limit_log h WHERE h.key = keys[place] AND h.id = digest';
const TIME = 'greatest(t, (cell -> 1)::bigint)';

/** Drops slots that have ended. After the clock went back, moves the ends back as far. */
const BRING_TO_NOW = `
    IF ${TIME} >= (cell -> 4)::bigint THEN
      DELETE ${LOG} AND ${END} <= ${TIME};
    END IF;
    IF (cell -> 1)::bigint > t THEN
      UPDATE @schema.rate_limit_log h SET total = h.total - ((cell -> 1)::bigint - t) * ${COSTS}
        WHERE h.key = keys[place] AND h.id = digest;
      slots_soonest := slots_soonest - ((cell -> 1)::bigint - t);
    END IF;`;

/** Adds a slot. */
const PUT = (id: string, cost: string): string => `
    INSERT INTO @schema.rate_limit_log AS h VALUES (keys[place], digest, ${id}, ${SLOT_END} * ${COSTS} + ${cost})
      ON CONFLICT (key, id, at) DO UPDATE SET total = excluded.total;
    slots_newest := greatest(slots_newest, ${id});
    slots_held := slots_held + ${cost};
    slots_soonest := least(slots_soonest, ${SLOT_END});`;

const STATE = (end: string): string => `
      changed := jsonb_build_array(greatest(${end}, (cell -> 0)::bigint), t, slots_newest, slots_held, coalesce(slots_soonest, 0));`;

/**
 * The SQL version of `concurrency.strategy.ts`, with rows of the log table instead of a map.
 *
 * The row of an identity holds `[expiry, at, newest, used, soonest]`. A row of the log holds the id of a slot as its time, and end and
 * cost in one number.
 */
export const concurrencySql: SqlStrategy = {
  names: `
  slots_held ALIAS FOR a;
  slots_soonest ALIAS FOR b;
  slots_newest ALIAS FOR c;`,

  remaining: `
    slots_newest := coalesce((cell -> 2)::bigint, 0);
    slots_held := coalesce((cell -> 3)::bigint, 0);
    slots_soonest := (cell -> 4)::bigint;
    IF ${TIME} >= slots_soonest THEN
      SELECT coalesce(sum(${COST}), 0), min(${END}) INTO slots_held, slots_soonest ${LOG} AND ${END} > ${TIME};
    END IF;
    IF slots_held = 0 THEN
      slots_newest := 0;
    END IF;
    remaining := greatest(0, amount - slots_held);`,

  commit: `${BRING_TO_NOW}
    low := greatest(t, slots_newest + 1);${PUT('low', 'cost')}${STATE('t + period')}`,

  refuse: `
    IF (cell -> 1)::bigint > t THEN${BRING_TO_NOW}${STATE('t')}
    END IF;`,

  settle: `
    IF has_receipt THEN${BRING_TO_NOW}
      counted := hit_window;
      DELETE ${LOG} AND h.at = hit_window RETURNING ${COST} INTO low;
      slots_held := slots_held - coalesce(low, 0);
      IF actual > 0 THEN
        actual := least(actual, ${COSTS - 1});
        counted := coalesce(counted, greatest(t, slots_newest + 1));${PUT('counted', 'actual')}
      END IF;${STATE('CASE WHEN actual > 0 THEN t + period ELSE t END')}
      IF slots_held = 0 THEN
        DELETE ${LOG};
        changed := NULL;
      END IF;
    END IF;`,

  // Reports all slots as one, which the pure steps count the same.
  report: `
    reply := CASE WHEN slots_held > 0
      THEN jsonb_build_array(0, reply -> 1, slots_newest, slots_newest, slots_soonest, slots_held) END;`,
};
