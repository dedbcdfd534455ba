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
  /** Short and the same for the same script. */
  readonly name: string;
  readonly lua: string;
}

/**
 * Composes the script that takes one step on batches: whole chunks of Lua, one after the other, and only those that the limits
 * need. So the number of scripts does not grow with the number of rules; servers keep 500 at most.
 *
 * `cells.lua.ts` says which KEYS and ARGV a script is given and what it replies. A hash holds a field per limit by the digest
 * of its id, and with `!` its block; every text begins with the epoch ms at which it expires. Expired fields are dropped
 * whenever the key's time to live is prolonged, which is done with some slack, not at every hit.
 *
 * @param blocks whether any of the limits can be blocked
 */
export function composeScript(
  used: ReadonlySet<StrategyName>,
  blocks: boolean,
  step: BatchStep,
): BatchScript {
  const strategies = strategyNames.filter((name) => used.has(name)).flatMap((name) => luaStrategies[name]);
  const chunks = [preludeLua, ...strategies, ...(blocks ? [blockLua] : []), cellsLua, ...stepChunks[step]];
  const lua = [...new Set(chunks)].join('');
  return { name: `nestjsLimits${createHash('sha1').update(lua).digest('hex').slice(0, 16)}`, lua };
}
