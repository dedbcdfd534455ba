/** A message that `amqplib` has received. */
export interface AmqpMessage {
  readonly fields: { readonly deliveryTag: number; readonly redelivered: boolean };
}

/** A channel of `amqplib`, as far as it settles messages. */
export interface AmqpChannel {
  ack(message: AmqpMessage): void;
  nack(message: AmqpMessage, allUpTo: boolean, requeue: boolean): void;
}

/** A message of RabbitMQ. */
export interface AmqpDelivery {
  readonly message: AmqpMessage;
  /** The channel that brought it; absent where another library settles it. */
  readonly channel?: AmqpChannel;
}

/** How a message came. */
export interface Delivery {
  /** Whether its sender waits for a reply, which a thrown error becomes. */
  readonly hasReply: boolean;
  /** The message of RabbitMQ. */
  readonly amqp?: AmqpDelivery | undefined;
  /** Tells the client of the error, where throwing it would not. */
  readonly fail?: ((error: Error) => void) | undefined;
}
