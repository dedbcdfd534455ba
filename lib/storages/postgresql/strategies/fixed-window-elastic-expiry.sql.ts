import type { SqlStrategy } from './sql-strategy.js';

/**
 * The SQL version of `fixed-window-elastic-expiry.strategy.ts`. If no window is open, the count is
 * 0 and start and end are NULL.
 */
export const fixedWindowElasticExpirySql: SqlStrategy = {
  names: `
  elastic_count ALIAS FOR a;
  elastic_start ALIAS FOR b;
  elastic_end ALIAS FOR c;`,

  remaining: `
    elastic_end := (cell -> 3)::bigint;
    IF t < elastic_end THEN
      elastic_count := (cell -> 1)::bigint;
      elastic_start := (cell -> 2)::bigint;
    ELSE
      elastic_count := 0;
      elastic_start := NULL;
      elastic_end := NULL;
    END IF;
    remaining := greatest(0, amount - elastic_count);`,

  commit: `
    elastic_count := elastic_count + cost;
    elastic_start := coalesce(elastic_start, t);
    elastic_end := t + period;
    changed := jsonb_build_array(elastic_end, elastic_count, elastic_start, elastic_end);`,

  refuse: `
    IF elastic_end <> t + period THEN
      changed := jsonb_build_array(t + period, elastic_count, elastic_start, t + period);
    END IF;`,

  settle: `
    counted := CASE WHEN has_receipt THEN hit_window ELSE elastic_start END;
    IF elastic_end IS NOT NULL AND has_receipt AND actual > cost THEN
      elastic_end := greatest(elastic_end, least(hit_at, t) + period);
      changed := jsonb_build_array(elastic_end, elastic_count, elastic_start, elastic_end);
    END IF;
    IF counted = elastic_start THEN
      elastic_count := greatest(0, elastic_count + actual - cost);
      changed := CASE WHEN elastic_count > 0
        THEN jsonb_build_array(elastic_end, elastic_count, elastic_start, elastic_end) END;
    ELSIF has_receipt AND counted IS NOT NULL AND hit_at + period <= t THEN
      NULL; -- the window of the hit may have ended
    ELSIF actual > cost THEN
      elastic_count := elastic_count + actual - cost;
      elastic_start := coalesce(elastic_start, t);
      elastic_end := coalesce(elastic_end, t + period);
      counted := elastic_start;
      changed := jsonb_build_array(elastic_end, elastic_count, elastic_start, elastic_end);
    END IF;`,
};
