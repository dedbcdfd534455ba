import type { SqlStrategy } from './sql-strategy.js';

/**
 * The SQL version of `fixed-window.strategy.ts`. If no window is open, the count is 0 and the end
 * is NULL, which `least` ignores.
 */
export const fixedWindowSql: SqlStrategy = {
  names: `
  fixed_count ALIAS FOR a;
  fixed_end ALIAS FOR b;`,

  remaining: `
    fixed_end := (cell -> 2)::bigint;
    IF t < fixed_end THEN
      fixed_count := (cell -> 1)::bigint;
    ELSE
      fixed_count := 0;
      fixed_end := NULL;
    END IF;
    remaining := greatest(0, amount - fixed_count);`,

  commit: `
    fixed_count := fixed_count + cost;
    fixed_end := least(fixed_end, window_end);
    changed := jsonb_build_array(fixed_end, fixed_count, fixed_end);`,

  refuse: `
    IF fixed_end > window_end THEN
      changed := jsonb_build_array(window_end, fixed_count, window_end);
    END IF;`,

  settle: `
    counted := CASE WHEN has_receipt THEN hit_window ELSE fixed_end END;
    IF counted <= t THEN
      NULL;
    ELSIF counted = fixed_end THEN
      fixed_count := greatest(0, fixed_count + actual - cost);
      changed := CASE WHEN fixed_count > 0 THEN jsonb_build_array(fixed_end, fixed_count, fixed_end) END;
    ELSIF actual > cost THEN
      fixed_count := fixed_count + actual - cost;
      fixed_end := coalesce(fixed_end, window_end);
      counted := fixed_end;
      changed := jsonb_build_array(fixed_end, fixed_count, fixed_end);
    END IF;`,
};
