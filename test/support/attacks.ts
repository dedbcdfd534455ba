import { expect } from '@jest/globals';
import {
  createParamDecorator,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { throwError } from 'rxjs';

/** Every limit that is attacked admits so many calls per address. */
export const LIMIT = 3;
export const limited = `${LIMIT}/hour`;

/** What an attack does with its client. */
export interface Attack<Client, Server> {
  readonly name: string;
  /**
   * Calls of handlers that the attack must get, which shows that it does what its name says. Default: all of the limit.
   * A negative number means any up to the limit.
   */
  readonly runs?: number | ((server: Server) => number);
  attempt(client: Client): Promise<unknown>;
}

/** Returns the calls that an attack must get. */
export function wantedRuns<Server>({ runs = LIMIT }: Attack<never, Server>, server: Server): number {
  return typeof runs === 'function' ? runs(server) : runs;
}

export function expectRuns(counted: number, wanted: number): void {
  if (wanted < 0) expect(counted).toBeLessThanOrEqual(LIMIT);
  else expect(counted).toBe(wanted);
}

/** Counts calls of handlers by the address that they come from. */
export class RunCounter {
  readonly #runs = new Map<string, number>();

  constructor(private readonly addressOf: (context: ExecutionContext) => string | undefined) {}

  /** Counts a call. */
  add(context: ExecutionContext): void {
    this.addFrom(this.addressOf(context));
  }

  /** Counts a call without a context. */
  addFrom(address = 'none'): void {
    const plain = address.replace('::ffff:', '');
    this.#runs.set(plain, this.from(plain) + 1);
  }

  /** Returns the calls from an address. */
  from(address: string): number {
    return this.#runs.get(address) ?? 0;
  }

  /** Counts the calls of a handler that has it as a parameter. */
  readonly Run = createParamDecorator((_data: unknown, context: ExecutionContext) => this.add(context));

  readonly falseGuard: CanActivate = {
    canActivate: (context) => {
      this.add(context);
      return false;
    },
  };

  throwingGuard(refusal: () => Error): CanActivate {
    return {
      canActivate: (context) => {
        this.add(context);
        throw refusal();
      },
    };
  }

  refusingInterceptor(refusal: () => Error): NestInterceptor {
    return {
      intercept: (context) => {
        this.add(context);
        return throwError(refusal);
      },
    };
  }

  /** Counts the calls that get to its pipes. */
  readonly interceptor: NestInterceptor = {
    intercept: (context, next: CallHandler) => {
      this.add(context);
      return next.handle();
    },
  };
}

export function refusingPipe(refusal: () => Error): PipeTransform {
  return {
    transform() {
      throw refusal();
    },
  };
}

export function repeat<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
