import type { ExecutionContext } from '@nestjs/common';
import { objectIn } from './calls.js';
import type { AmqpChannel, AmqpDelivery, AmqpMessage } from './delivery.js';

/** The context of a message that Nest received from RabbitMQ. */
interface RmqContext {
  getMessage?(): unknown;
  getChannelRef?(): unknown;
}

/** Returns the message of RabbitMQ that Nest's own transport calls a handler with; `undefined` for another transport. */
export function rmqDelivery(context: ExecutionContext): AmqpDelivery | undefined {
  const rmq = context.switchToRpc().getContext<RmqContext | undefined>();
  const message = rmq?.getMessage?.();
  const channel = rmq?.getChannelRef?.();
  return isAmqpMessage(message) && isChannel(channel) ? { message, channel } : undefined;
}

/** Returns the message of RabbitMQ that another library calls a handler with, among its arguments. */
export function foreignDelivery(context: ExecutionContext): AmqpDelivery | undefined {
  const message = context.getArgs<unknown[]>().find(isAmqpMessage);
  return message && { message };
}

function isAmqpMessage(value: unknown): value is AmqpMessage {
  const { fields } = (objectIn(value) ?? {}) as { fields?: Partial<AmqpMessage['fields']> | null };
  return typeof fields?.deliveryTag === 'number' && typeof fields.redelivered === 'boolean';
}

function isChannel(value: unknown): value is AmqpChannel {
  const { ack, nack } = (objectIn(value) ?? {}) as Partial<AmqpChannel>;
  return typeof ack === 'function' && typeof nack === 'function';
}
