import {
  HttpException,
  HttpStatus,
  Inject,
  Injectable,
  NotFoundException,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { hostname } from 'node:os';
import { ConsolePolicies } from './console-policies.js';
import { ConsoleRecorder } from './console-recorder.js';
import type { ConsoleResponse } from './console-response.js';
import type { PolicyMessage, SeriesView, SnapshotMessage, TickMessage } from './console-messages.js';

/** Streams that are served at a time. */
const MAX_STREAMS = 50;
/** Bytes that may wait for a slow client before its stream is closed. It then reconnects. */
const MAX_WAITING_BYTES = 4_000_000;
/** Identities that are listed per policy. */
const LISTED_IDENTITIES = 50;
const TICK_MS = 1000;

/** A stream of server-sent events: of everything, or of one policy. */
interface Stream {
  readonly response: ConsoleResponse;
  readonly policy: number | undefined;
}

/** Sends what the recorder has counted to all open pages, once per second. */
@Injectable()
export class ConsoleFeed implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #streams = new Set<Stream>();
  #isClosing = false;
  readonly #process = {
    host: hostname(),
    pid: process.pid,
    started: Math.round(performance.timeOrigin),
  };
  #timer: NodeJS.Timeout | undefined;
  /** The last policies that were sent, as JSON. */
  #policies = '';

  constructor(
    @Inject(ConsoleRecorder) private readonly recorder: ConsoleRecorder,
    @Inject(ConsolePolicies) private readonly policies: ConsolePolicies,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** Ends all streams, since a server that closes waits for its connections. */
  onModuleDestroy(): void {
    this.#isClosing = true;
    clearInterval(this.#timer);
    for (const { response } of this.#streams) response.end();
    this.#streams.clear();
  }

  /**
   * Opens a stream.
   *
   * @param policy the number of a policy; absent for everything
   * @throws HttpException if the policy is unknown, or too many streams are open
   */
  open(response: ConsoleResponse, policy?: number): void {
    if (this.#streams.size >= MAX_STREAMS)
      throw new HttpException(
        `The console serves ${MAX_STREAMS} streams at a time.`,
        HttpStatus.SERVICE_UNAVAILABLE,
      );
    const first = policy === undefined ? this.#snapshot() : this.#ofPolicy(policy);
    if (first === undefined) throw new NotFoundException();
    const stream: Stream = { response, policy };
    response.begin('text/event-stream', { 'x-accel-buffering': 'no' });
    response.write(eventOf(policy === undefined ? 'snapshot' : 'policy', first));
    // A page reconnects when its stream ends: to the next process, if this one closes.
    if (this.#isClosing || response.isForHead) {
      response.end();
      return;
    }
    this.#streams.add(stream);
    response.onClose(() => this.#streams.delete(stream));
  }

  #tick(): void {
    const { total, counts } = this.recorder.sample();
    if (this.#streams.size === 0) return;
    const message: TickMessage = { second: this.recorder.second, total, counts, store: this.recorder.store };
    const known = this.#policies;
    const snapshot = this.#snapshot();
    const everything = this.#policies === known ? eventOf('tick', message) : eventOf('snapshot', snapshot);
    for (const { response, policy } of this.#streams) {
      if (response.waitingBytes > MAX_WAITING_BYTES) response.destroy();
      else response.write(policy === undefined ? everything : eventOf('policy', this.#ofPolicy(policy)));
    }
  }

  #snapshot(): SnapshotMessage {
    const { second, total, store } = this.recorder;
    const policies = this.policies.views();
    this.#policies = JSON.stringify(policies);
    const active = [...this.recorder.policies].filter(({ isActive }) => isActive);
    const series: Record<number, SeriesView> = Object.fromEntries(
      active.map((policy) => [policy.id, policy.series(second)]),
    );
    return { process: this.#process, second, policies, total: total.series(second), series, store };
  }

  #ofPolicy(id: number): PolicyMessage | undefined {
    const policy = [...this.recorder.policies].find((one) => one.id === id);
    if (policy === undefined) return undefined;
    const { limits, identities } = policy;
    const top = identities.top(LISTED_IDENTITIES);
    return {
      limits,
      refusals: identities.total,
      identities: top.map(({ key, count, error }) => ({ identity: key, count, error })),
    };
  }
}

/** JSON has no line breaks, which would end a line of an event. */
function eventOf(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
