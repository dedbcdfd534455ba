import { Inject, Injectable } from '@nestjs/common';
import { describeDuration } from '../../notation/describe-period.js';
import type { Limit } from '../../core/limit.js';
import { POLICY_DIRECTORY } from '../options/rate-limit.tokens.js';
import type { PolicyDirectory } from '../routes/policy-directory.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { ConsoleRecorder } from './console-recorder.js';
import type { LimitView, PolicyView } from './console-messages.js';
import { describeLimit } from './describe-limit.js';
import type { PolicyCounter } from './policy-counter.js';

/** Routes that are listed per policy. */
const MAX_ROUTES = 500;

/** Policies with one declaration, by the routes whose counts are separate. */
interface Declared {
  readonly policy: RoutePolicy;
  readonly routes: Map<string, string>;
}

/** Describes the policies of all routes and rules, and those of limits by hand that have counted. */
@Injectable()
export class ConsolePolicies {
  constructor(
    @Inject(POLICY_DIRECTORY) private readonly directory: PolicyDirectory,
    @Inject(ConsoleRecorder) private readonly recorder: ConsoleRecorder,
  ) {}

  /** Returns the policies as they are now. Rules may change while the application runs. */
  views(): PolicyView[] {
    const declared = new Map<PolicyCounter, Declared>();
    for (const { id, policies } of this.directory.known())
      for (const policy of policies) {
        const counter = this.recorder.counterOf(policy.where, policy.name);
        const known = declared.get(counter) ?? { policy, routes: new Map<string, string>() };
        if (!known.routes.has(policy.id)) known.routes.set(policy.id, id.replace(/^http /, ''));
        declared.set(counter, known);
      }
    const views = [...declared].map(([counter, one]) => viewOf(counter, one));
    const others = [...this.recorder.policies].filter(
      (counter) => !declared.has(counter) && counter.requests > 0,
    );
    return [...views, ...others.map(viewOfUndeclared)];
  }
}

function viewOf({ id, name, where }: PolicyCounter, { policy, routes }: Declared): PolicyView {
  const plans = [...(policy.plans ?? [])];
  const all = [...policy.limits, ...plans.flatMap(([, limits]) => limits)];
  const longestBlock = Math.max(0, ...all.flatMap(({ block }) => block));
  return {
    id,
    name,
    where: where ?? BY_HAND,
    limits: [
      ...policy.limits.map((limit) => limitViewOf(limit)),
      ...plans.flatMap(([plan, limits]) => limits.map((limit) => limitViewOf(limit, plan))),
    ],
    strategy: [...new Set([policy.strategy, ...all.map(({ strategy }) => strategy)])].join(', '),
    key: policy.source.types,
    mode: policy.mode,
    routes: [...routes.values()].slice(0, MAX_ROUTES),
    plans: plans.map(([plan]) => plan),
    needsLimits: policy.compileLimits !== undefined,
    needsPosition: (['timeZone', 'anchor'] as const).filter((name) => policy.calendar?.[name] !== undefined),
    ...(longestBlock > 0 ? { longestBlock: describeDuration(longestBlock) } : {}),
  };
}

const BY_HAND = 'by hand';

function viewOfUndeclared({ id, name, where, limits }: PolicyCounter): PolicyView {
  return {
    id,
    name,
    where: where ?? BY_HAND,
    limits: limits.map((limit) => ({ name: limit.name, text: limit.text })),
    strategy: '',
    key: [],
    mode: modeOf(limits),
    routes: [],
    plans: [],
    needsLimits: false,
    needsPosition: [],
  };
}

function limitViewOf(limit: Limit, plan?: string): LimitView {
  return { name: limit.name, text: describeLimit(limit), ...(plan === undefined ? {} : { plan }) };
}

function modeOf(limits: readonly Pick<Limit, 'mode'>[]): PolicyView['mode'] {
  const modes = new Set(limits.map(({ mode }) => mode));
  if (modes.size > 1) return 'mixed';
  return modes.has('shadow') ? 'shadow' : 'enforce';
}
