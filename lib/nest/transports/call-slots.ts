import { HttpException, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { defer, finalize, Observable, Subscription } from 'rxjs';
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

  /** @param isAnswered false until {@link answer} is called */
  private constructor(private isAnswered: boolean) {}

  /** Returns the slots of a call; `undefined` if it holds none. */
  static find(context: ExecutionContext, transport: Transport): CallSlots | undefined {
    return calls.get(transport.stateHolder(context));
  }

  /** Holds slots for a call, or releases them at once if it is over. */
  static hold(slots: HeldSlots, context: ExecutionContext, transport: Transport): void {
    const holder = transport.stateHolder(context);
    let call = calls.get(holder);
    if (call === undefined) {
      call = new CallSlots(transport.onAnswer === undefined);
      calls.set(holder, call);
      transport.onAnswer?.(context, () => call?.answer());
      transport.onOperationEnd?.(context, () => call?.end());
    }
    call.#add(slots);
  }

  /** Ms for which the slots are held without a renewal. */
  get hold(): number {
    return Math.max(0, ...this.#held.map(({ hold }) => hold));
  }

  /** Begins a handler. Returns false if the call is over, so that it must not run. */
  begin(): boolean {
    if (this.#isOver) return false;
    this.#running++;
    for (const slots of this.#held) slots.keep();
    return true;
  }

  /** Ends a handler. */
  finish(): void {
    this.#running--;
    this.#endIfOver();
  }

  /** Records that the response is over. */
  answer(): void {
    this.isAnswered = true;
    this.#endIfOver();
  }

  /** Releases all slots. */
  end(): void {
    this.#isOver = true;
    for (const slots of this.#held.splice(0)) void slots.release();
  }

  #add(slots: HeldSlots): void {
    if (this.#isOver) void slots.release();
    else this.#held.push(this.isAnswered ? slots : slots.keep());
  }

  #endIfOver(): void {
    if (this.isAnswered && this.#running === 0) this.end();
  }
}

/** Holds the slots of a call while its handler runs. A handler whose client has left before it began does not run. */
export const slotInterceptor: NestInterceptor = {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const transport = transportOf(context);
    const slots = CallSlots.find(context, transport);
    if (slots === undefined) return next.handle();
    return defer(() => {
      if (!slots.begin()) throw new HttpException('The request is over.', CLIENT_CLOSED_REQUEST);
      const results = next.handle().pipe(finalize(() => slots.finish()));
      return isStream(context) ? results : lasting(results, slots.hold);
    });
  },
};

/** Returns true for server-sent events, and for a handler that is declared to return an observable, of any copy of RxJS. */
function isStream(context: ExecutionContext): boolean {
  if (Reflect.hasMetadata(SSE_METADATA, context.getHandler())) return true;
  const prototype = context.getClass().prototype as object;
  const type = Reflect.getMetadata('design:returntype', prototype, context.getHandler().name) as unknown;
  return typeof type === 'function' && type.name === Observable.name;
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
      const timer = setTimeout(() => running.unsubscribe(), patience).unref();
      running.add(() => clearTimeout(timer));
    };
  });
}
