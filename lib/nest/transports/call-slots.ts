import { HttpException, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { defer, finalize, type Observable } from 'rxjs';
import type { HeldSlots } from '../../limiter/held-slots.js';
import { CLIENT_CLOSED_REQUEST } from './http.transport.js';
import type { Transport } from './transport.js';
import { transportOf } from './transports.js';

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
    const slots = CallSlots.find(context, transportOf(context));
    if (slots === undefined) return next.handle();
    return defer(() => {
      if (!slots.begin()) throw new HttpException('The request is over.', CLIENT_CLOSED_REQUEST);
      return next.handle().pipe(finalize(() => slots.finish()));
    });
  },
};
