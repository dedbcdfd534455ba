import { connect } from 'amqplib';
import { findProgram, isExecutable } from './programs.js';
import { freePort, isListening, serverDirectory, startServer, type Server } from './server-process.js';

/** Debian's program. The one on the PATH is a wrapper that leaves its child running when it is killed. */
const PROGRAM = '/usr/lib/rabbitmq/bin/rabbitmq-server';

/** Starts RabbitMQ with a port mapper (epmd) of its own, since the one of Erlang's default port outlives it. */
export async function startRabbitMq(): Promise<Server> {
  const epmd = await startEpmd();
  const directory = serverDirectory('rabbitmq');
  const [port, distributionPort] = [await freePort(), await freePort()];
  const uri = `amqp://127.0.0.1:${port}`;
  const server = await startServer({
    name: 'RabbitMQ',
    command: isExecutable(PROGRAM) ? PROGRAM : (findProgram('rabbitmq-server') ?? 'rabbitmq-server'),
    args: [],
    env: {
      HOME: directory, // of the cookie
      ERL_EPMD_PORT: String(epmd.port),
      RABBITMQ_NODENAME: `test-${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distributionPort),
      RABBITMQ_MNESIA_BASE: `${directory}/mnesia`,
      RABBITMQ_LOG_BASE: `${directory}/logs`,
      RABBITMQ_ENABLED_PLUGINS_FILE: `${directory}/plugins`,
      RABBITMQ_CONFIG_FILE: `${directory}/rabbitmq`,
      RUNNING_UNDER_SYSTEMD: 'yes', // replaces the shell, so that a signal ends the server
    },
    directory,
    port,
    uri,
    ready: async () => {
      const connection = await connect(uri);
      await connection.close();
      return true;
    },
  });
  const stop = server.stop.bind(server);
  return Object.assign(server, {
    stop: async (): Promise<void> => {
      await stop();
      await epmd.stop();
    },
  });
}

async function startEpmd(): Promise<Server> {
  const port = await freePort();
  return startServer({
    name: 'epmd',
    command: 'epmd',
    args: ['-port', String(port), '-address', '127.0.0.1'],
    directory: serverDirectory('epmd'),
    port,
    uri: `tcp://127.0.0.1:${port}`,
    ready: () => isListening(port),
  });
}
