import type { Temporal } from 'temporal-polyfill';
import type { Awaitable } from './awaitable.js';
import { ConfigurationError } from './errors.js';

/** The part of `Temporal` that calendars use. */
export type TemporalApi = Pick<typeof Temporal, 'Instant' | 'PlainDateTime'>;

let loaded = (globalThis as { Temporal?: TemporalApi }).Temporal;
let loading: Promise<void> | undefined;

/**
 * Loads `Temporal` for limits with a calendar: the engine's own, or that of the package `temporal-polyfill`. The module and
 * `CalendarWindowRateLimiter` call it. Call it before `createLimit`, and before a serialised receipt is settled. Returns
 * synchronously if there is nothing to load.
 *
 * @example
 * ```ts
 * import { createLimit, loadTemporal } from 'nestjs-limits';
 *
 * await loadTemporal();
 * const limit = createLimit({
 *   id: 'exports',
 *   strategy: 'calendar-window',
 *   amount: 1000,
 *   period: 30 * 86_400_000,
 *   calendar: { unit: 'month', timeZone: 'Europe/Berlin' },
 * });
 * ```
 */
export function loadTemporal(): Awaitable<void> {
  if (loaded !== undefined) return;
  loading ??= import('temporal-polyfill')
    .then(({ Temporal }) => {
      loaded = Temporal;
    })
    .finally(() => (loading = undefined));
  return loading;
}

/** Returns true once {@link temporal} is available. */
export function isTemporalLoaded(): boolean {
  return loaded !== undefined;
}

/**
 * Returns `Temporal`.
 *
 * @throws ConfigurationError before {@link loadTemporal} is done
 */
export function temporal(): TemporalApi {
  if (loaded === undefined)
    throw new ConfigurationError(
      'Calendar windows need Temporal, which this engine lacks and which is not loaded yet. Wait for it first: await loadTemporal().',
    );
  return loaded;
}
