import { Inject, Injectable, NotFoundException, type OnModuleDestroy } from '@nestjs/common';
import { RateLimiterService } from 'nestjs-limits';
import { BehaviorSubject, type Observable } from 'rxjs';
import { FakeTable } from './fake-table.js';

/** Concurrent exports of one user, over all processes. */
const AT_ONCE = '2 concurrent';

/** Longest time that an export waits for a slot. */
const MAX_WAIT_MS = 3_600_000;

export interface Progress {
  readonly id: number;
  readonly state: 'waiting' | 'running' | 'done' | 'cancelled' | 'failed';
  /** Rows that are exported. */
  readonly rows: number;
  readonly of: number;
}

interface Job {
  readonly user: string;
  readonly progress: BehaviorSubject<Progress>;
  readonly cancel: AbortController;
}

/** Runs exports in the background. Each holds a slot of its user from its first row to its last one. */
@Injectable()
export class ExportsService implements OnModuleDestroy {
  readonly #jobs: Job[] = [];

  constructor(
    @Inject(RateLimiterService) private readonly limiter: RateLimiterService,
    @Inject(FakeTable) private readonly table: FakeTable,
  ) {}

  start(user: string, rows: number): Progress {
    const progress = new BehaviorSubject<Progress>({
      id: this.#jobs.length + 1,
      state: 'waiting',
      rows: 0,
      of: rows,
    });
    const job = { user, progress, cancel: new AbortController() };
    this.#jobs.push(job);
    void this.#run(job);
    return progress.value;
  }

  /** Returns the exports of a user, and how many more would start immediately. */
  async list(user: string): Promise<{ free: number; exports: Progress[] }> {
    const jobs = this.#jobs.filter((job) => job.user === user);
    const { remaining } = await this.limiter.peek(AT_ONCE, 'exports', user);
    return { free: remaining, exports: jobs.map(({ progress }) => progress.value) };
  }

  /** Returns the progress of an export, until it ends. */
  watch(user: string, id: number): Observable<Progress> {
    return this.#find(user, id).progress;
  }

  cancel(user: string, id: number): void {
    this.#find(user, id).cancel.abort();
  }

  /** Stops all exports, so that the process can end. */
  onModuleDestroy(): void {
    for (const { cancel } of this.#jobs) cancel.abort();
  }

  async #run({ user, progress, cancel: { signal } }: Job): Promise<void> {
    const report = (change: Partial<Progress>): void => progress.next({ ...progress.value, ...change });
    try {
      // The slots of a crashed process are free after 30 seconds. A running process renews them.
      await using slot = await this.limiter.acquire(AT_ONCE, ['exports', user], {
        maxWait: MAX_WAIT_MS,
        signal,
      });
      if (!slot.allowed) throw new Error('There was no slot in time.');
      report({ state: 'running' });
      for await (const row of this.table.read(progress.value.of, signal)) report({ rows: row });
      report({ state: 'done' });
    } catch {
      report({ state: signal.aborted ? 'cancelled' : 'failed' });
    } finally {
      progress.complete();
    }
  }

  #find(user: string, id: number): Job {
    const job = this.#jobs.find((each) => each.user === user && each.progress.value.id === id);
    if (job === undefined) throw new NotFoundException('There is no such export.');
    return job;
  }
}
