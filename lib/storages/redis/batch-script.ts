import { createHash } from 'node:crypto';
import { strategyNames } from '../../strategies/strategies.js';
import type { StrategyName } from '../../strategies/strategy.js';
import { cellsLua } from './script/cells.lua.js';
import { blockByHandLua, settleLua } from './script/change.lua.js';
import { consumeLua, decideLua, peekLua } from './script/decide.lua.js';
import { preludeLua } from './script/prelude.lua.js';
import { blockLua } from './strategies/block.lua.js';
import { luaStrategies } from './strategies/lua-strategies.js';

export type BatchStep = 'consume' | 'peek' | 'settle' | 'block';

const stepChunks: Readonly<Record<BatchStep, readonly string[]>> = {
  consume: [decideLua, consumeLua],
  peek: [decideLua, peekLua],
  settle: [decideLua, settleLua],
  block: [blockByHandLua],
};

/** A script for all batches of one set of strategies. */
export interface BatchScript {
  /** Name of the command, derived from the script. */
  readonly name: string;
  readonly lua: string;
}

/**
 * Composes the script for one step on batches. It concatenates the chunks of Lua that the limits
 * need, so the number of scripts does not grow with the number of rules. Servers cache at most 500
 * scripts.
 *
 * `cells.lua.ts` documents KEYS, ARGV and the reply. A hash has one field per limit, named by the
 * digest of its id, and one with `!` for its block. Every text begins with the epoch ms at which it
 * expires. Expired fields are dropped when the key's time to live is extended, which has some slack
 * and so does not happen at every hit.
 *
 * @param blocks true if any of the limits has blocks
 */
export function composeScript(
  used: ReadonlySet<StrategyName>,
  blocks: boolean,
  step: BatchStep,
): BatchScript {
  const names = strategyNames.filter((name) => used.has(name));
  const key = `${names.join()} ${blocks} ${step}`;
  let script = composed.get(key);
  if (script === undefined) {
    script = compose(names, blocks, step);
    composed.set(key, script);
  }
  return script;
}

/** All scripts composed so far: at most a few hundred. Plans for many limits share them. */
const composed = new Map<string, BatchScript>();

function compose(names: readonly StrategyName[], blocks: boolean, step: BatchStep): BatchScript {
  const strategies = names.flatMap((name) => luaStrategies[name]);
  const chunks = [preludeLua, ...strategies, ...(blocks ? [blockLua] : []), cellsLua, ...stepChunks[step]];
  const lua = [...new Set(chunks)].join('');
  return { name: `nestjsLimits${createHash('sha1').update(lua).digest('hex').slice(0, 16)}`, lua };
}
