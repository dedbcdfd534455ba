import type { ContextType, ExecutionContext, Type } from '@nestjs/common';

/**
 * The context of a call for which Nest creates none: of middleware, and of a gateway's connections.
 */
export class HandlerContext implements ExecutionContext {
  constructor(
    private readonly type: ContextType,
    private readonly args: unknown[],
    private readonly target: Type,
    private readonly handler: ReturnType<ExecutionContext['getHandler']>,
  ) {}

  readonly getType = (() => this.type) as ExecutionContext['getType'];
  readonly getClass = (() => this.target) as ExecutionContext['getClass'];
  readonly getHandler = (): ReturnType<ExecutionContext['getHandler']> => this.handler;
  readonly getArgs = (() => this.args) as ExecutionContext['getArgs'];
  readonly getArgByIndex = ((index: number) => this.args[index]) as ExecutionContext['getArgByIndex'];

  switchToHttp(): ReturnType<ExecutionContext['switchToHttp']> {
    return { getRequest: this.#at(0), getResponse: this.#at(1), getNext: this.#at(2) };
  }

  switchToWs(): ReturnType<ExecutionContext['switchToWs']> {
    return { getClient: this.#at(0), getData: this.#at(1), getPattern: () => '' };
  }

  switchToRpc(): ReturnType<ExecutionContext['switchToRpc']> {
    return { getData: this.#at(0), getContext: this.#at(1) };
  }

  #at(index: number): () => never {
    return () => this.args[index] as never;
  }
}
