import { HttpException, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { concat, defer, finalize, Observable, of, Subscription } from 'rxjs';
import { MAX_TIMER_MS } from '../../common/time.js';
import type { HeldSlots } from '../../limiter/held-slots.js';
import { CLIENT_CLOSED_REQUEST } from './http.transport.js';
import type { Transport } from './transport.js';
import { transportOf } from './transports.js';

/** Metadata key of Nest's decorator `@Sse`, which it does not export. */
const SSE_METADATA = '__sse__';

/** By the object that holds the state of a call. */
const calls = new WeakMap<object, CallSlots>();

/**
 * The slots of concurrent requests that a call holds until its work is over: until its handlers have ended and, on HTTP, the response
 * is over too. Without HTTP a call that never reaches its handler is not renewed, so that its slots are free after their hold.
 */
export class CallSlots {
  readonly #held: HeldSlots[] = [];
  /** Handlers that are running. */
  #running = 0;
  #isOver = false;
  #hasLeft = false;
  #isAnswered: boolean;
  /** Listens no more to the client's leaving. */
  #forget: (() => void) | undefined;

  /** @param isMessage true for a call without a response, which no one reports to {@link answer} */
  private constructor(private readonly isMessage: boolean) {
    this.#isAnswered = isMessage;
  }

  /** Returns the slots of a call; `undefined` if it holds none. */
  static find(context: ExecutionContext, transport: Transport): CallSlots | undefined {
    return calls.get(transport.stateHolder(context));
  }

  /** Holds slots for a call, or releases them at once if it is over. */
  static hold(slots: HeldSlots, context: ExecutionContext, transport: Transport): void {
    const holder = transport.stateHolder(context);
    const known = calls.get(holder);
    const call = known ?? new CallSlots(transport.onAnswer === undefined);
    call.#add(slots);
    if (known !== undefined) return;
    calls.set(holder, call);
    transport.onAnswer?.(context, () => call.answer());
    transport.onOperationEnd?.(context, () => call.end());
    call.#forget = transport.onDisconnect?.(context, () => call.#leave());
  }

  /** Ms for which the slots are held without a renewal. */
  get hold(): number {
    return Math.max(0, ...this.#held.map(({ hold }) => hold));
  }

  /** True if the client of a message has left before the handler began. */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Begins a handler. Returns false if the call is over, so that it must not run. */
  begin(): boolean {
    if (this.#isOver) return false;
    this.#running++;
    for (const slots of this.#held) {
      slots.takeAgain(); // if an interceptor calls the handler of a message again
      slots.keep();
    }
    return true;
  }

  /** Ends a handler. That of a message may begin again. */
  finish(): void {
    this.#running--;
    this.#endIfOver();
  }

  /** Records that the response is over. */
  answer(): void {
    this.#isAnswered = true;
    this.#endIfOver();
  }

  /** Releases all slots. */
  end(): void {
    this.#isOver = true;
    this.#release(this.#held.splice(0));
  }

  #release(held: readonly HeldSlots[]): void {
    this.#forget?.();
    for (const slots of held) void slots.release();
  }

  #leave(): void {
    if (this.#running > 0) return;
    this.#hasLeft = !this.#isOver;
    this.end();
  }

  #add(slots: HeldSlots): void {
    if (this.#isOver) void slots.release();
    else this.#held.push(this.#isAnswered ? slots : slots.keep());
  }

  #endIfOver(): void {
    if (!this.#isAnswered || this.#running > 0) return;
    if (this.isMessage) this.#release(this.#held);
    else this.end();
  }
}

/** Holds the slots of a call while its handler runs. A handler whose client has left before it began does not run. */
export const slotInterceptor: NestInterceptor = {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const transport = transportOf(context);
    const slots = CallSlots.find(context, transport);
    if (slots === undefined) return next.handle();
    return defer(() => {
      if (!slots.begin()) {
        if (slots.hasLeft) return of(undefined); // an error would be logged
        throw new HttpException('The request is over.', CLIENT_CLOSED_REQUEST);
      }
      const results = resultsOf(context, transport, next).pipe(finalize(() => slots.finish()));
      return streams.has(context.getHandler()) ? results : lasting(results, slots.hold);
    });
  },
};

/** Returns the results of a handler, which end with the call at the earliest if the handler returns before it is over. */
export function resultsOf(
  context: ExecutionContext,
  transport: Transport,
  next: CallHandler,
): Observable<unknown> {
  const rest = transport.restOf?.(context);
  return rest === undefined ? next.handle() : concat(next.handle(), rest);
}

/** Handlers of server-sent events, and those that are declared to return an observable. */
const streams = new WeakSet<object>();

/** Records whether a handler returns a stream. Observables of any copy of RxJS count. Its own name may be lost: decorators wrap it. */
export function recordStream(prototype: object, name: string, handler: object): void {
  const type = Reflect.getMetadata('design:returntype', prototype, name) as unknown;
  const isObservable = typeof type === 'function' && type.name === Observable.name;
  if (isObservable || Reflect.hasMetadata(SSE_METADATA, handler)) streams.add(handler);
}

/**
 * Passes results on. If nobody wants them any more before there is one, since the client of a message has left or an interceptor has
 * timed out, waits for it, at most for `patience` ms: they may be those of a promise, which goes on and cannot be cancelled.
 */
function lasting<T>(results: Observable<T>, patience: number): Observable<T> {
  return new Observable((subscriber) => {
    const running = new Subscription();
    let isPending = true;
    const settle = (tell: () => void): void => {
      isPending = false;
      if (subscriber.closed) running.unsubscribe();
      else tell();
    };
    running.add(
      results.subscribe({
        next: (value) => settle(() => subscriber.next(value)),
        error: (error: unknown) => settle(() => subscriber.error(error)),
        complete: () => settle(() => subscriber.complete()),
      }),
    );
    return () => {
      if (!isPending) {
        running.unsubscribe();
        return;
      }
      const timer = setTimeout(() => running.unsubscribe(), Math.min(patience, MAX_TIMER_MS)).unref();
      running.add(() => clearTimeout(timer));
    };
  });
}
