import type { SqlStrategy } from './sql-strategy.js';

/**
 * The SQL version of `sliding-window-counter.strategy.ts`. The numbers are the state with its
 * windows advanced to now; the start is NULL if nothing is consumed. The weight is computed in
 * double precision, as in JavaScript, so that results are equal to the unit.
 */
export const slidingWindowCounterSql: SqlStrategy = {
  names: `
  sliding_previous ALIAS FOR a;
  sliding_current ALIAS FOR b;
  sliding_start ALIAS FOR c;`,

  remaining: `
    sliding_previous := 0;
    sliding_current := 0;
    sliding_start := (cell -> 3)::bigint;
    IF t - sliding_start < period THEN
      sliding_previous := (cell -> 1)::bigint;
      sliding_current := (cell -> 2)::bigint;
      sliding_start := least(sliding_start, t);
    ELSIF t - sliding_start < 2 * period AND (cell -> 2)::bigint > 0 THEN
      sliding_previous := (cell -> 2)::bigint;
      sliding_start := sliding_start + period;
    ELSE
      sliding_start := NULL;
    END IF;
    remaining := greatest(0, amount - sliding_current);
    IF sliding_previous > 0 THEN
      remaining := greatest(0, remaining
        - floor(sliding_previous::float8 * (period - (t - sliding_start))::float8 / period::float8)::bigint);
    END IF;`,

  commit: `
    sliding_current := sliding_current + cost;
    sliding_start := coalesce(sliding_start, t);
    changed := jsonb_build_array(sliding_start + 2 * period, sliding_previous, sliding_current, sliding_start);`,

  refuse: `
    IF (cell -> 3)::bigint > t THEN
      changed := jsonb_build_array(cell -> 0, sliding_previous, sliding_current, t);
    END IF;`,

  settle: `
    counted := CASE WHEN has_receipt THEN hit_window ELSE sliding_start END;
    IF counted + 2 * period <= t THEN
      NULL;
    ELSIF counted = sliding_start THEN
      sliding_current := greatest(0, sliding_current + actual - cost);
    ELSIF counted = sliding_start - period THEN
      sliding_previous := greatest(0, sliding_previous + actual - cost);
    ELSIF actual > cost THEN
      sliding_current := sliding_current + actual - cost;
      sliding_start := coalesce(sliding_start, t);
      counted := sliding_start;
    END IF;
    changed := CASE WHEN sliding_previous + sliding_current > 0 THEN jsonb_build_array(
      sliding_start + CASE WHEN sliding_current > 0 THEN 2 * period ELSE period END,
      sliding_previous, sliding_current, sliding_start) END;`,
};
