import { Inject, Injectable } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { Observable } from 'rxjs';
import { objectIn } from './calls.js';

/** The properties of Nest's `ServerRMQ` that tell whether its messages must be acknowledged. */
interface RmqServer {
  readonly noAck: boolean;
  /** The wrapper of `amqp-connection-manager`, which opens a new channel after each reconnection. */
  readonly channel?: { readonly _channel?: unknown } | null;
}

/** Nest 11 and later; earlier versions keep no list of microservices. */
interface RpcTargets {
  getRpcTargetRegistry?(): Observable<unknown>;
}

/** Knows which channels of RabbitMQ wait for acknowledgements. RabbitMQ closes a channel that acknowledges without need. */
@Injectable()
export class RmqServers {
  readonly #known = new WeakMap<object, boolean>();

  constructor(@Inject(ModulesContainer) private readonly modules: RpcTargets) {}

  /** Returns whether the messages of a channel must be acknowledged; `undefined` if Nest does not tell. */
  needAcks(channel: object): boolean | undefined {
    const known = this.#known.get(channel) ?? this.#find(channel);
    if (known !== undefined) this.#known.set(channel, known);
    return known;
  }

  #find(channel: object): boolean | undefined {
    const servers: RmqServer[] = [];
    const targets = this.modules.getRpcTargetRegistry?.();
    targets?.subscribe((target) => isRmqServer(target) && servers.push(target)).unsubscribe();
    const own = servers.filter((server) => server.channel?._channel === channel);
    const answers = new Set((own.length > 0 ? own : servers).map(({ noAck }) => !noAck));
    return answers.size === 1 ? answers.has(true) : undefined;
  }
}

function isRmqServer(target: unknown): target is RmqServer {
  return typeof (objectIn(target) as Partial<RmqServer> | undefined)?.noAck === 'boolean';
}
