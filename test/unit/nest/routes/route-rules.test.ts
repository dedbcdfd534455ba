import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { RateLimiterService, SkipRateLimit, type IdentityResolver, type RateLimitRule } from 'nestjs-limits';
import { RoutePolicies } from '../../../../lib/nest/routes/route-policies.js';
import { RouteRules } from '../../../../lib/nest/routes/route-rules.js';
import { limited } from '../../../support/http-app.js';
import { keepState, stateOf, type RequestState } from '../../../../lib/nest/request/request-state.js';
import { requestPaths } from '../../../../lib/nest/routes/routed-path.js';
import type { HttpRequest } from '../../../../lib/nest/transports/http.transport.js';

@Controller('users')
class UsersController {
  @Get(':id')
  find() {
    return '';
  }

  @Get('free')
  @SkipRateLimit()
  free() {
    return '';
  }
}

@Injectable()
class EverybodyResolver implements IdentityResolver {
  resolve(): string {
    return 'everybody';
  }
}

const running: INestApplication[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

type Find = (request: object, handler?: 'find' | 'free') => ReturnType<RouteRules['policiesFor']>;

async function compile(...rules: RateLimitRule[]): Promise<{ find: Find; app: INestApplication }> {
  const metadata = { ...limited([UsersController], { rules }), providers: [EverybodyResolver] };
  const app = await (await Test.createTestingModule(metadata).compile()).createNestApplication().init();
  running.push(app);
  const [routes, routeRules] = [app.get(RoutePolicies), app.get(RouteRules)];
  return {
    app,
    find: (request, handler = 'find') =>
      routeRules.policiesFor(routes.get(UsersController, UsersController.prototype[handler]), request),
  };
}

const express = (path: string, method = 'GET'): object => ({
  method,
  originalUrl: path,
  baseUrl: '',
  path,
  route: { path: '/users/:id' },
});

const namesOf = ({ policies }: ReturnType<Find>): string[] => policies.map(({ name }) => name);

const users: RateLimitRule = { id: 'users', path: '/users/**', limits: '5/minute' };
const me: RateLimitRule = { id: 'me', path: '/users/me', limits: '5/minute' };

describe('The rules of a route', () => {
  it('are cached if they apply to all of its requests', async () => {
    const { find } = await compile(users);
    const found = find(express('/users/1'));
    expect(namesOf(found)).toEqual(['users']);
    expect(find(express('/users/2'))).toBe(found);
    expect(find({ method: 'GET', url: '/users/3', routeOptions: { url: '/users/:id' } })).toBe(found);
    expect(find(express('/users/1', 'HEAD'))).not.toBe(found);
    expect(find(express('/users/1', 'HEAD'))).toEqual(found);
  });

  it('are matched with each path if one is narrower than the route', async () => {
    const { find } = await compile(me, users);
    expect(namesOf(find(express('/users/me')))).toEqual(['me']);
    expect(namesOf(find(express('/users/you')))).toEqual(['users']);
    expect(namesOf(find(express('/USERS/%6de/')))).toEqual(['me']);
  });

  it('are matched with each path if the template is unknown, or only a part of the path', async () => {
    const { find } = await compile({ ...me, path: '/shop/users/me' }, { ...users, path: '/shop/**' });
    const mounted = (baseUrl: string, path: string): object => ({
      ...express(path),
      originalUrl: '/rewritten',
      baseUrl,
    });
    expect(namesOf(find(mounted('/shop', '/users/me')))).toEqual(['me']);
    expect(namesOf(find(mounted('/SHOP', '/users/you')))).toEqual(['users']);
    expect(namesOf(find(mounted('', '/users/me')))).toEqual([]);
    expect(namesOf(find({ method: 'GET', url: '/shop/users/me?a', route: { path: /^\/shop/ } }))).toEqual([
      'me',
    ]);
    expect(namesOf(find({ method: 'GET', url: '/shop' }))).toEqual(['users']);
    expect(namesOf(find({}))).toEqual([]);
  });

  it('are empty if the route skips all', async () => {
    const { find } = await compile(users);
    expect(namesOf(find(express('/users/free'), 'free'))).toEqual([]);
  });

  it('are the new ones from the next request on', async () => {
    const { find, app } = await compile(users);
    expect(namesOf(find(express('/users/me')))).toEqual(['users']);
    await app.get(RateLimiterService).setRules([me]);
    expect(namesOf(find(express('/users/me')))).toEqual(['me']);
    expect(() => app.get(RateLimiterService).peek({ policy: 'users' }, '127.0.0.1')).toThrow(
      'There is no policy "users". Known policies: me.',
    );
  });

  it('can count by the result of an injectable class', async () => {
    const { find } = await compile({ ...users, key: EverybodyResolver });
    expect(find(express('/users/1')).policies[0]?.source.types).toEqual(['key']);
  });
});

describe('The paths that a router may read in a request', () => {
  it('are those of the rewritten URL on Fastify, and of the original one on Express', () => {
    const request = { url: '/new', originalUrl: '/old' };
    expect(requestPaths({ ...request, raw: {} })).toEqual([['NEW']]);
    expect(requestPaths(request as HttpRequest)).toEqual([['OLD']]);
    expect(requestPaths({ url: '/new' })).toEqual([['NEW']]);
    expect(requestPaths({})).toEqual(requestPaths({ url: '/' }));
  });
});

describe('The state of a request', () => {
  it('is kept on its object, and not kept if that is frozen', () => {
    const state: RequestState = {
      handler: undefined,
      counted: [],
      decision: undefined,
      reservations: [],
      ruleSet: undefined,
    };
    const [request, frozen] = [{}, Object.freeze({})];
    for (const one of [request, frozen]) keepState(one, state);
    expect(stateOf(request)).toBe(state);
    expect(stateOf(frozen)).toBeUndefined();
  });
});
