import { describe, expect, it } from '@jest/globals';
import { RouteTemplate, type RouteParameters } from '../../../lib/policies/route-template.js';

const fill = (template: string, parameters: RouteParameters): string | undefined => {
  const path = new RouteTemplate(template).fill(parameters);
  return path && `/${path.join('/')}`;
};

describe('The template of a route', () => {
  it.each<[template: string, parameters: RouteParameters, path: string | undefined]>([
    ['/', {}, '/'],
    ['/users/', {}, '/USERS'],
    ['/caf%C3%A9/a%2Fb', {}, '/CAFÉ/A%2FB'],
    ['/users/:id', { id: 'me' }, '/USERS/ME'],
    ['/users/:id', { id: 'a/b' }, '/USERS/A%2FB'],
    ['/users/:id', { id: 42 }, '/USERS/42'],
    ['/users/:id', { id: true }, '/USERS/TRUE'],
    ['/users/:id', { id: '' }, '/USERS'],
    ['/users/:id', {}, undefined],
    ['/users/:id', { id: {} }, undefined],
    ['/:a-:b.:c', { a: '1', b: '2', c: '3' }, '/1-2.3'],
    ['/:"user id"', { 'user id': 'me' }, '/ME'],
    ['/:"a\\"b"', { 'a"b': 'me' }, '/ME'],
    ['/x{/:a-:b}', { a: '1', b: '2' }, '/X/1-2'],
    ['/x{/:a-:b}', { a: '1' }, undefined],
    ['/files/*path', { path: 5 }, undefined],
    ['/a\\:b', {}, '/A:B'],
    ['/a::b', {}, '/A:B'],
    ['/users/:id(\\d+)', { id: '7' }, '/USERS/7'],
    ['/users/:id(^(\\d+)$)/x', { id: '7' }, '/USERS/7/X'],
    ['/users/:id?', { id: 'me' }, '/USERS/ME'],
    ['/users/:id?', {}, '/USERS'],
    ['/users{/:id}', { id: 'me' }, '/USERS/ME'],
    ['/users{/:id}', {}, '/USERS'],
    ['/users{/:id{/:tab}}', { id: 'me' }, '/USERS/ME'],
    ['/users{/:id{/:tab}}', { id: 'me', tab: 'x' }, '/USERS/ME/X'],
    ['/users{/all}', {}, undefined],
    ['/files/*path', { path: ['a', 'b'] }, '/FILES/A/B'],
    ['/files/*path', { path: ['..', 'a/b'] }, '/FILES/../A%2FB'],
    ['/files/*path', { path: [1] }, '/FILES/1'],
    ['/files/*path', { path: [{}] }, undefined],
    ['/files/*path', {}, undefined],
    ['/files/{*path}', {}, '/FILES'],
    ['/files/{*path}', { path: ['a'] }, '/FILES/A'],
    ['/files/*', { '*': 'a/../b' }, '/FILES/A/../B'],
    ['/*/x/*', { 0: 'a', 1: 'b' }, '/A/X/B'],
    ['/files/:path*', { path: 'a' }, undefined],
    ['/files/:path+', { path: 'a' }, undefined],
    ['/ab?cd', {}, undefined],
    ['/(a|b)', {}, undefined],
    ['/{a', {}, undefined],
    ['/a}', {}, undefined],
    ['/:', {}, undefined],
  ])('%s is filled in with %j', (template, parameters, path) => {
    expect(fill(template, parameters)).toBe(path);
  });

  it.each([
    ['/users/:id', false],
    ['/users{/:id}', false],
    ['/files/*', true],
    ['/files/*path', true],
    ['/files{/*path}', true],
    ['/(.*)', true],
  ])('%s is a catch-all or not: %p', (template, isCatchAll) => {
    expect(new RouteTemplate(template).isCatchAll).toBe(isCatchAll);
  });
});
