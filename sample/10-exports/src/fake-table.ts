import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';

/** Time per row, in ms. */
const PACE_MS = 100;

/** In production, a database. This one takes its time. */
@Injectable()
export class FakeTable {
  async *read(rows: number, signal: AbortSignal): AsyncGenerator<number> {
    for (let row = 1; row <= rows; row++) {
      await sleep(PACE_MS, undefined, { signal });
      yield row;
    }
  }
}
