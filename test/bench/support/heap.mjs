import { setImmediate } from 'node:timers/promises';

/** Collects twice: what the first pass has finalized is free for the second. */
export async function collectGarbage() {
  for (let pass = 0; pass < 2; pass++) {
    await setImmediate();
    globalThis.gc();
  }
}

/** Bytes in use once the garbage is collected: objects, and memory that they own outside the heap. */
export async function heapBytes() {
  await collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external; // array buffers are part of what is external
}
