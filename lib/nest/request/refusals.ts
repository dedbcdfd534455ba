import { Inject, Injectable, type ExecutionContext, type HttpException } from '@nestjs/common';
import { attempt, chain, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import type { Decision } from '../../core/decision.js';
import { queueOf } from '../../limiter/fair-queue.js';
import type { DecidingStorage } from '../../resilience/resilient-storage.js';
import { DECIDING_STORAGE, RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { logger, Warnings } from '../options/warnings.js';
import type { AmqpChannel, AmqpDelivery, AmqpMessage } from '../transports/delivery.js';
import { DroppedMessageException } from '../transports/dropped-message.exception.js';
import { RmqServers } from '../transports/rmq-servers.js';
import type { Transport } from '../transports/transport.js';
import { policiesOf, type PolicyHit } from './policy-hit.js';

/** Refuses requests: settles a message with its broker, and throws the error that the transport expects. */
@Injectable()
export class Refusals {
  /** Messages that are settled, since each of several handlers of an event may refuse it. */
  readonly #settled = new WeakSet<AmqpMessage>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(DECIDING_STORAGE) private readonly storage: DecidingStorage,
    @Inject(RmqServers) private readonly rmqServers: RmqServers,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /**
   * Calls `onRefused` of the policies that refuse a request, each function once. Waits for none of them, so
   * that none delays the answer, and never throws.
   */
  announce(refused: readonly PolicyHit[], decision: Decision, context: ExecutionContext): void {
    const listeners = new Map(
      refused.flatMap(policiesOf).flatMap(({ onRefused, where }) => {
        const listener = onRefused ?? this.options.onRefused;
        return listener === undefined ? [] : [[listener, onRefused ? where : 'RateLimitModule'] as const];
      }),
    );
    for (const [listener, where] of listeners) {
      const warn = (error: unknown): void =>
        this.warnings.once(
          `onRefused ${where}`,
          `${where}: the function "onRefused" failed, and the request is refused anyway: ${messageOf(error)}`,
        );
      void Promise.resolve(attempt(() => listener(decision, context))).catch(warn);
    }
  }

  /**
   * Refuses a request with an exception.
   *
   * @param body what the client is told
   */
  refuse(
    transport: Transport,
    exception: HttpException,
    body: object,
    context: ExecutionContext,
  ): Awaitable<never> {
    return chain(transport.refusal(exception, body, context), (error) => {
      throw this.#settle(transport, error, context, false);
    });
  }

  /** Refuses a request with an error of the application, which is thrown for events too. */
  refuseWith(transport: Transport, error: Error, context: ExecutionContext): never {
    throw this.#settle(transport, error, context, true);
  }

  /** Returns the error to throw. */
  #settle(transport: Transport, error: Error, context: ExecutionContext, isOwn: boolean): Error {
    const delivery = transport.deliveryOf?.(context);
    if (delivery === undefined) return error;
    const { hasReply, amqp, fail } = delivery;
    if (fail !== undefined) {
      fail(error);
      return new DroppedMessageException(error);
    }
    if (amqp !== undefined) {
      if (this.options.refusedMessages === 'manual') return error;
      // RabbitMQ delivers an event again that is not settled when the application closes.
      if (!hasReply && queueOf(this.storage).isClosed)
        return amqp.channel === undefined || isOwn ? error : new DroppedMessageException(error);
      if (amqp.channel === undefined)
        return this.#isDropped(amqp) ? new DroppedMessageException(error) : error;
      this.#settleWith(amqp.channel, amqp, hasReply);
    }
    return hasReply || isOwn ? error : new DroppedMessageException(error);
  }

  /** A library that settles messages by itself may requeue what fails: a message that comes back is not refused by an error again. */
  #isDropped({ message }: AmqpDelivery): boolean {
    return this.options.refusedMessages === 'ack' || message.fields.redelivered;
  }

  #settleWith(channel: AmqpChannel, { message }: AmqpDelivery, hasReply: boolean): void {
    const { refusedMessages: fate } = this.options;
    const needsAck = this.rmqServers.needAcks(channel);
    if (needsAck === undefined && fate === undefined) this.#warnOfUnknown();
    if (!(needsAck ?? fate !== undefined) || this.#settled.has(message)) return;
    this.#settled.add(message);
    try {
      if (fate === 'ack') channel.ack(message);
      else channel.nack(message, false, fate === 'requeue' && !hasReply && !message.fields.redelivered);
    } catch (error) {
      // A channel that has closed: RabbitMQ delivers its messages again.
      logger.error(`A refused message could not be settled: ${messageOf(error)}`);
    }
  }

  #warnOfUnknown(): void {
    this.warnings.once(
      'refusedMessages',
      'A message of RabbitMQ was refused, and was not settled: NestJS 10, or microservices that differ in "noAck", do not tell ' +
        'whether it has to be. With "noAck: false", set the option "refusedMessages", for example to "reject".',
    );
  }
}
