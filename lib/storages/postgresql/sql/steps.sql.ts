import { blockSql } from '../strategies/block.sql.js';
import { ANSWER, LOAD, LOOK, NUMBERS_PER_HIT, NUMBERS_PER_SETTLEMENT, ofStrategy } from './pieces.sql.js';

/** Puts the changed cell and block of the current hit into `stored`. */
const STORE = `
    IF changed IS NOT NULL THEN
      stored[place] := stored[place] || jsonb_build_object(digest, changed);
      ends[place] := greatest(ends[place], (changed -> 0)::bigint);
    END IF;
    IF block_changed THEN
      block_id := digest || '!';
      stored[place] := CASE WHEN block IS NULL THEN stored[place] - block_id
        ELSE stored[place] || jsonb_build_object(block_id, block) END;
      ends[place] := greatest(ends[place], t, (block -> 0)::bigint);
      block_changed := false;
    END IF;`;

/** The SQL version of `take` and `leave` in apply-batch.ts, for the current hit. */
const TAKE_OR_LEAVE = `
    taken := allowed AND fits;
    changed := NULL;
    IF cost = 0 THEN
      reply := cell;
    ELSIF taken THEN
      ${ofStrategy('commit')}
      IF refundable AND duration_count > 0 THEN
        ${blockSql.reserve}
      END IF;
      reply := changed;
    ELSE
      IF duration_count = 0 THEN
        blocked_until := t;
      ELSIF blocked_until > t THEN
        ${blockSql.shorten}
      END IF;
      IF cell IS NOT NULL AND (blocked_until <= t OR block_changed) THEN
        ${ofStrategy('refuse')}
      END IF;
      IF duration_count > 0 AND blocked_until <= t AND NOT fits AND cost <= burst THEN
        ${blockSql.commit}
      END IF;
      reply := coalesce(changed, cell);
    END IF;
    ${STORE}`;

/** The SQL version of `consumeBatch`, for one batch after another. */
export const CONSUME = `
  first := 1;
  WHILE first <= cardinality(hits) / ${NUMBERS_PER_HIT} LOOP
    last := first;
    -- Is the next hit of the same batch?
    several := coalesce(hits[first * ${NUMBERS_PER_HIT} + 1] = hits[first * ${NUMBERS_PER_HIT} - 3], false);
    allowed := true;
    LOOP
      base := (last - 1) * ${NUMBERS_PER_HIT};
      ${LOAD}
      ${LOOK}
      allowed := allowed AND (fits OR is_shadow);
      EXIT WHEN NOT several;
      seen[(last - first) * 6 + 1 : (last - first) * 6 + 6] := ARRAY[a, b, c, remaining, blocked_until, fits::int];
      EXIT WHEN hits[base + 1] IS DISTINCT FROM hits[base + ${NUMBERS_PER_HIT} + 1];
      last := last + 1;
    END LOOP;
    FOR number IN first .. last LOOP
      IF several THEN
        base := (number - 1) * ${NUMBERS_PER_HIT};
        ${LOAD}
        a := seen[(number - first) * 6 + 1];
        b := seen[(number - first) * 6 + 2];
        c := seen[(number - first) * 6 + 3];
        remaining := seen[(number - first) * 6 + 4];
        blocked_until := seen[(number - first) * 6 + 5];
        fits := seen[(number - first) * 6 + 6] = 1;
      END IF;
      ${TAKE_OR_LEAVE}
      ${ANSWER("CASE WHEN taken THEN '1' ELSE '0' END")}
    END LOOP;
    first := last + 1;
  END LOOP;`;

/** The SQL version of `settleBatch`. */
export const SETTLE = `
  taken := true;
  FOR number IN 1 .. cardinality(hits) / ${NUMBERS_PER_SETTLEMENT} LOOP
    base := (number - 1) * ${NUMBERS_PER_SETTLEMENT};
    ${LOAD}
    actual := hits[base + 5];
    has_receipt := hits[base + 6] = 1;
    hit_at := hits[base + 7];
    hit_window := hits[base + 8];
    ${ofStrategy('remaining')}
    changed := cell;
    counted := NULL;
    ${ofStrategy('settle')}
    IF changed IS NULL THEN
      stored[place] := stored[place] - digest;
      ends[place] := greatest(ends[place], t);
    END IF;
    IF duration_count > 0 AND hits[base + 9] = 1 THEN
      ${blockSql.settle}
    END IF;
    reply := changed;
    ${STORE}
    ${ANSWER("coalesce(counted::text, 'null')")}
  END LOOP;`;

/** The SQL version of `blockBatch`. */
export const BLOCK = `
  FOR number IN 1 .. cardinality(hits) / ${NUMBERS_PER_HIT} LOOP
    base := (number - 1) * ${NUMBERS_PER_HIT};
    ${LOAD}
    ${blockSql.byHand}
    changed := NULL;
    ${STORE}
  END LOOP;`;

/** Removes cells and their blocks. */
export const REMOVE = `
  FOR number IN 1 .. cardinality(hits) / ${NUMBERS_PER_HIT} LOOP
    base := (number - 1) * ${NUMBERS_PER_HIT};
    ${LOAD}
    stored[place] := stored[place] - digest - (digest || '!');
    ends[place] := greatest(ends[place], t);
    DELETE FROM @schema.rate_limit_log h WHERE h.key = keys[place] AND h.id = digest;
  END LOOP;`;
