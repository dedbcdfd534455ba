/** Generates reproducible random numbers from a seed: mulberry32. */
export class Random {
  constructor(private state: number) {}

  /** Returns a whole number from 0 to `limit` − 1. */
  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** Returns true with a probability in percent. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** Returns at least one of the values, in their order. */
  someOf<T>(values: readonly T[]): T[] {
    const some = values.filter(() => this.chance(60));
    return some.length > 0 ? some : values.slice(0, 1);
  }
}
