import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { requestOf } from 'nestjs-limits';

/** A user whom a test names by header fields. */
export interface HeaderUser {
  readonly id: string;
  /** Of `x-plan`. */
  readonly plan: string | undefined;
}

export interface AuthenticatedRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  user?: HeaderUser;
}

/** Authenticates the user of `x-user`, if there is one. */
@Injectable()
export class HeaderUserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = authenticatedRequest(context);
    const id = request.headers['x-user'];
    if (id !== undefined) request.user = { id, plan: request.headers['x-plan'] };
    return true;
  }
}

export function authenticatedRequest(context: ExecutionContext): AuthenticatedRequest {
  return requestOf(context) as AuthenticatedRequest;
}

/** Returns a number that a test puts into a header field; 0 if there is none. */
export function numberIn(context: ExecutionContext, header: string): number {
  return Number(authenticatedRequest(context).headers[header] ?? 0);
}
