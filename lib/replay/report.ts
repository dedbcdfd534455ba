import type { LimitReplay } from './limit-replay.js';
import type { LineCounts, MalformedLine } from './log-reader.js';
import type { ChangedDecisions, Rehearsal } from './rehearsal.js';
import type { Suggestion } from './suggest-amount.js';
import type { Timeline } from './timeline.js';

/** The result of a replay, as JSON. Times are ISO 8601 in UTC; shares are from 0 to 1, of all requests. */
export interface ReplayReport {
  readonly requests: number;
  /** Identities that are counted separately. */
  readonly identities: number;
  /** Requests of identities beyond the maximum, which share counts. */
  readonly untrackedRequests: number;
  readonly from: string;
  readonly to: string;
  readonly lines: {
    readonly read: number;
    readonly malformed: number;
    readonly outOfOrder: number;
    readonly withoutKey: number;
    readonly notSelected: number;
    readonly examples: readonly MalformedLine[];
  };
  readonly limit: LimitReport;
  readonly was?: LimitReport;
  readonly newlyRefused: ChangeReport;
  readonly newlyAllowed: ChangeReport;
  readonly worst: readonly {
    readonly identity: string;
    readonly requests: number;
    readonly refused: number;
    readonly wasRefused?: number;
  }[];
  readonly suggestion?: SuggestionReport;
  readonly gate?: { readonly maxNewlyRefused: number; readonly passed: boolean };
}

/** The decisions under one set of limits. */
export interface LimitReport {
  readonly limits: readonly { readonly limit: string; readonly refused: number }[];
  readonly strategy: string;
  readonly refused: number;
  readonly refusedShare: number;
  readonly refusedIdentities: number;
  /** The minute with the most refused requests. */
  readonly peak?: PeakReport;
  /** Spans of equal length, and the most refused requests in one of their minutes. */
  readonly refusedPerMinute: readonly PeakReport[];
}

export interface PeakReport {
  readonly time: string;
  readonly refused: number;
}

export interface ChangeReport {
  readonly requests: number;
  readonly share: number;
  readonly identities: number;
}

/** The smallest amount that refuses at most the share `target`; without it, the largest that can be tried. */
export interface SuggestionReport {
  readonly target: number;
  readonly isReached: boolean;
  readonly limit: string;
  readonly refusedShare: number;
  /** One less, which refuses more; absent if the target is not reached. */
  readonly below?: { readonly limit: string; readonly refusedShare: number };
}

const MAX_WORST = 10;

/** Reports a replay of at least one request. */
export function reportReplay(rehearsal: Rehearsal, counts: LineCounts): ReplayReport {
  const { requests, limit, was, newlyRefused, newlyAllowed } = rehearsal;
  const { lines, malformed, outOfOrder, withoutKey, notSelected, examples } = counts;
  return {
    requests,
    identities: rehearsal.identities,
    untrackedRequests: rehearsal.untracked,
    from: isoTime(rehearsal.from),
    to: isoTime(rehearsal.to),
    lines: { read: lines, malformed, outOfOrder, withoutKey, notSelected, examples },
    limit: reportLimit(limit, requests),
    ...(was === undefined ? {} : { was: reportLimit(was, requests) }),
    newlyRefused: reportChange(newlyRefused, requests),
    newlyAllowed: reportChange(newlyAllowed, requests),
    worst: rehearsal.worst(MAX_WORST).map((identity) => ({
      identity: identity.name,
      requests: identity.requests,
      refused: limit.refusals.get(identity) ?? 0,
      ...(was === undefined ? {} : { wasRefused: was.refusals.get(identity) ?? 0 }),
    })),
  };
}

/** Reports a suggestion; `describe` returns the limit of an amount. */
export function reportSuggestion(
  target: number,
  suggestion: Suggestion,
  describe: (amount: number) => string,
): SuggestionReport {
  const { isReached, amount } = suggestion;
  const below = isReached ? suggestion.below : undefined;
  return {
    target,
    isReached,
    limit: describe(amount.amount),
    refusedShare: amount.share,
    ...(below === undefined ? {} : { below: { limit: describe(below.amount), refusedShare: below.share } }),
  };
}

function reportLimit(replay: LimitReplay, requests: number): LimitReport {
  const { limits, refused, refusedBy, refusals, timeline } = replay;
  return {
    limits: limits.map((limit) => ({ limit: limit.name, refused: refusedBy.get(limit) ?? 0 })),
    strategy: limits[0]?.strategy ?? '',
    refused,
    refusedShare: refused / requests,
    refusedIdentities: refusals.size,
    ...reportTimeline(timeline),
  };
}

function reportTimeline({ peaks, highest }: Timeline): Pick<LimitReport, 'peak' | 'refusedPerMinute'> {
  const report = ({ time, perMinute }: (typeof peaks)[number]): PeakReport => ({
    time: isoTime(time),
    refused: perMinute,
  });
  return {
    ...(highest === undefined ? {} : { peak: report(highest) }),
    refusedPerMinute: peaks.map(report),
  };
}

function reportChange({ requests, identities }: ChangedDecisions, all: number): ChangeReport {
  return { requests, share: requests / all, identities: identities.size };
}

function isoTime(time: number): string {
  return new Date(time).toISOString();
}
