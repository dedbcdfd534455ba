import { describe, expect, it } from '@jest/globals';
import {
  All,
  Controller,
  Delete,
  Get,
  Head,
  Options,
  Patch,
  Post,
  Put,
  RequestMapping,
  RequestMethod,
  Search,
  Version,
  VERSION_NEUTRAL,
  type ControllerOptions,
  type Type,
} from '@nestjs/common';
import { Mutation, Query, ResolveField, ResolveReference, Resolver, Subscription } from '@nestjs/graphql';
import { EventPattern, GrpcMethod, MessagePattern, Transport } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { RateLimit } from 'nestjs-limits';
import type { CompiledRoute } from '../../../../lib/nest/routes/route-policy.js';
import { RouteOperations } from '../../../../lib/nest/swagger/route-operations.js';
import { isRouteHandler, routeId } from '../../../../lib/nest/transports/transports.js';

type Handler = Parameters<typeof routeId>[1];

/** A controller with one handler. */
function makeController(
  options: ControllerOptions,
  route: MethodDecorator,
  version: MethodDecorator = () => undefined,
): { controller: Type; handler: Handler } {
  @Controller(options)
  class RouteController {
    @version
    @route
    handle() {
      return '';
    }
  }
  return { controller: RouteController, handler: RouteController.prototype.handle };
}

function idOf(options: ControllerOptions, route: MethodDecorator, version?: MethodDecorator): string {
  const { controller, handler } = makeController(options, route, version);
  return routeId(controller, handler);
}

describe('The id of a route', () => {
  it.each([
    ['GET', Get],
    ['POST', Post],
    ['PUT', Put],
    ['PATCH', Patch],
    ['DELETE', Delete],
    ['HEAD', Head],
    ['OPTIONS', Options],
    ['SEARCH', Search],
    ['ALL', All],
  ])('begins with the transport and the method: %s', (method, decorator) => {
    expect(idOf({ path: 'users' }, decorator(':id'))).toBe(`http ${method} /users/:id`);
  });

  it('is GET by default', () => {
    expect(idOf({ path: 'users' }, RequestMapping())).toBe('http GET /users');
    expect(idOf({ path: 'users' }, RequestMapping({ path: 'all', method: RequestMethod.POST }))).toBe(
      'http POST /users/all',
    );
  });

  it.each([
    ['', '', '/'],
    ['/', '/', '/'],
    ['users', '', '/users'],
    ['/users/', '/:id/', '/users/:id'],
    ['', 'users', '/users'],
    ['a/b', 'c/d', '/a/b/c/d'],
    ['//a', '//b//', '/a/b'],
    ['files', '*path', '/files/*path'],
    ['名前', 'ü b', '/名前/ü b'],
  ])('has the full path template in every notation: "%s" and "%s"', (prefix, path, whole) => {
    expect(idOf({ path: prefix }, Get(path))).toBe(`http GET ${whole}`);
  });

  it('has all paths of a handler with several paths', () => {
    expect(idOf({ path: ['old', 'new'] }, Get(['a', 'b']))).toBe('http GET /old/a|/old/b|/new/a|/new/b');
  });

  it('has no prefix for a class that is no controller itself', () => {
    class Base {
      @Get('health')
      handle() {
        return '';
      }
    }
    expect(routeId(Base, Base.prototype.handle)).toBe('http GET /health');
  });

  it('has the path of the module', () => {
    const { controller, handler } = makeController({ path: 'users' }, Get(':id'));
    expect(routeId(controller, handler, '/api/admin')).toBe('http GET /api/admin/users/:id');
    expect(routeId(controller, handler, '/')).toBe('http GET /users/:id');
  });

  it('has the version of the handler, or else of the controller', () => {
    expect(idOf({ path: 'a', version: '1' }, Get())).toBe('http GET /a v1');
    expect(idOf({ path: 'a', version: '1' }, Get(), Version('2'))).toBe('http GET /a v2');
    expect(idOf({ path: 'a', version: ['1', '2'] }, Get())).toBe('http GET /a v1|2');
    expect(idOf({ path: 'a', version: VERSION_NEUTRAL }, Get())).toBe('http GET /a vneutral');
    expect(idOf({ path: 'a' }, Get(), Version(['1', VERSION_NEUTRAL]))).toBe('http GET /a v1|neutral');
  });

  it('has the host of the controller', () => {
    expect(idOf({ path: 'a', host: 'admin.example.com' }, Get())).toBe('http GET /a host admin.example.com');
    expect(idOf({ path: 'a', host: ['a.example', /b\.example/], version: '1' }, Get())).toBe(
      String.raw`http GET /a v1 host a.example|/b\.example/`,
    );
  });

  it('does not depend on the names of the class and the method', () => {
    @Controller('same')
    class First {
      @Get()
      one() {
        return '';
      }
    }
    @Controller('same')
    class Second {
      @Get()
      two() {
        return '';
      }
    }
    expect(routeId(First, First.prototype.one)).toBe(routeId(Second, Second.prototype.two));
  });
});

/** The id of the method `handle` of a class. */
function idIn(controller: Type): string {
  const { handle } = controller.prototype as { handle: Handler };
  expect(isRouteHandler(handle)).toBe(true);
  return routeId(controller, handle);
}

/** A class with one method. */
function classWith(decorateClass: ClassDecorator, decorateMethod: MethodDecorator): Type {
  @decorateClass
  class SomeClass {
    @decorateMethod
    handle() {
      return '';
    }
  }
  return SomeClass;
}

describe('The id of a field', () => {
  const field = (decorator: MethodDecorator, type = Resolver()): string => idIn(classWith(type, decorator));

  it.each([
    ['Query', Query(() => String)],
    ['Mutation', Mutation(() => String)],
    ['Subscription', Subscription(() => String)],
  ])('has the operation and the name: %s', (operation, decorator) => {
    expect(field(decorator)).toBe(`graphql ${operation}.handle`);
  });

  it('has the name in the schema', () => {
    expect(field(Query(() => String, { name: 'users' }))).toBe('graphql Query.users');
    expect(field(Query('users'))).toBe('graphql Query.users');
  });

  it('has the type of the field', () => {
    class Book {}
    expect(
      field(
        ResolveField(() => String),
        Resolver('Author'),
      ),
    ).toBe('graphql Author.handle');
    expect(
      field(
        ResolveField('title', () => String),
        Resolver(() => Book),
      ),
    ).toBe('graphql Book.title');
    expect(field(ResolveReference(), Resolver('Author'))).toBe('graphql Author.__resolveReference');
    expect(field(ResolveField(() => String))).toBe('graphql SomeClass.handle');
  });
});

describe('The id of a message to a gateway', () => {
  const message = (gateway: ClassDecorator, event: unknown = 'say'): string =>
    idIn(classWith(gateway, SubscribeMessage(event)));

  it.each([
    ['nothing', WebSocketGateway(), '/'],
    ['a namespace', WebSocketGateway({ namespace: 'chat' }), '/chat'],
    ['a path', WebSocketGateway({ path: '/ws/' }), '/ws'],
    ['a path and a namespace', WebSocketGateway({ path: '/ws', namespace: '/chat' }), '/ws#/chat'],
    ['a port', WebSocketGateway(8080), ':8080/'],
    ['a port and a namespace', WebSocketGateway(8080, { namespace: 'chat' }), ':8080/chat'],
    ['a pattern of namespaces', WebSocketGateway({ namespace: /^room \d+$/ }), '/^room%20\\d+$/'],
  ])('has the location of the gateway, and the event: %s', (_place, gateway, place) => {
    expect(message(gateway)).toBe(`ws ${place} say`);
  });

  it('differs for the same event at different locations', () => {
    expect(message(WebSocketGateway(), '/chat say')).not.toBe(
      message(WebSocketGateway({ namespace: 'chat' })),
    );
    expect(message(WebSocketGateway({ namespace: 'a b' }), 'c')).not.toBe(
      message(WebSocketGateway({ namespace: 'a' }), 'b c'),
    );
  });

  it('has JSON for an event that is not a string', () => {
    expect(message(WebSocketGateway(), { cmd: 'say' })).toBe('ws / {"cmd":"say"}');
  });
});

describe('The id of the connections to a gateway', () => {
  it('has the location of the gateway', () => {
    @WebSocketGateway({ namespace: 'chat' })
    class ChatGateway {
      @RateLimit('1/minute')
      handleConnection() {
        return undefined;
      }
    }
    const { handleConnection } = ChatGateway.prototype;
    expect(isRouteHandler(handleConnection)).toBe(true);
    expect(routeId(ChatGateway, handleConnection)).toBe('ws-connection /chat');
  });
});

describe('The id of a pattern', () => {
  const pattern = (decorator: MethodDecorator): string => idIn(classWith(Controller(), decorator));

  it.each([
    ['a message', MessagePattern('sum'), 'rpc message "sum"'],
    ['an event', EventPattern('done') as MethodDecorator, 'rpc event "done"'],
    ['an object', MessagePattern({ cmd: 'sum', v: 1 }), 'rpc message {"cmd":"sum","v":1}'],
    ['several', MessagePattern(['a', 'b']), 'rpc message "a"|"b"'],
    ['a regular expression', EventPattern(/^user\./), 'rpc event /^user\\./'],
    ['of one transport', MessagePattern('sum', Transport.REDIS), 'rpc message "sum" over 1'],
    ['gRPC', GrpcMethod('Users', 'FindOne'), 'grpc Users/FindOne'],
    ['gRPC without a service', MessagePattern('sum', Transport.GRPC), 'rpc message "sum" over 4'],
  ])('has its kind and its pattern: %s', (_kind, decorator, id) => {
    expect(pattern(decorator)).toBe(id);
  });
});

describe('The id of a handler of another kind', () => {
  it('has its class and method', () => {
    const { handler } = makeController({}, () => undefined);
    class BotUpdate {
      onText = handler;
    }
    expect(routeId(BotUpdate, handler)).toBe('BotUpdate.handle');
  });
});

describe('A route outside HTTP', () => {
  it('is no operation of a document', () => {
    const route = (id: string): CompiledRoute => ({ id }) as CompiledRoute;
    const [message, get] = [route('ws / say'), route('http GET /say')];
    const operations = new RouteOperations([message, get]);
    expect(operations.find('GET', '/say')).toBe(get);
    expect(new RouteOperations([message]).find('GET', '/say')).toBeUndefined();
  });
});

describe('A handler of a route', () => {
  it('is a function with the metadata of a route', () => {
    const { handler } = makeController({ path: 'a' }, Get());
    expect(isRouteHandler(handler)).toBe(true);
    for (const other of [() => '', undefined, null, 'get', {}, Symbol('get')]) {
      expect(isRouteHandler(other)).toBe(false);
    }
  });
});
