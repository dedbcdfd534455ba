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
import { isRouteHandler, routeId } from '../../../lib/nest/route-id.js';

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

  it('is GET where no method is said', () => {
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
  ])('has the whole path template, however it is written: "%s" and "%s"', (prefix, path, whole) => {
    expect(idOf({ path: prefix }, Get(path))).toBe(`http GET ${whole}`);
  });

  it('has all paths of a handler that has several', () => {
    expect(idOf({ path: ['old', 'new'] }, Get(['a', 'b']))).toBe('http GET /old/a|/old/b|/new/a|/new/b');
  });

  it('has the path of the module', () => {
    const { controller, handler } = makeController({ path: 'users' }, Get(':id'));
    expect(routeId(controller, handler, '/api/admin')).toBe('http GET /api/admin/users/:id');
    expect(routeId(controller, handler, '/')).toBe('http GET /users/:id');
  });

  it('has the version of the handler, else of the controller', () => {
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

  it('does not depend on what the class and the method are called', () => {
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

describe('A handler of a route', () => {
  it('is a function with the metadata of a route', () => {
    const { handler } = makeController({ path: 'a' }, Get());
    expect(isRouteHandler(handler)).toBe(true);
    for (const other of [() => '', undefined, null, 'get', {}, Symbol('get')]) {
      expect(isRouteHandler(other)).toBe(false);
    }
  });
});
