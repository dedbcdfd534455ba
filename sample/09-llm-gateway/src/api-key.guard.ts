import {
  Inject,
  Injectable,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { OrganisationsService, type Organisation } from './organisations.service.js';

export interface CompletionRequest {
  readonly prompt: string;
  readonly max_tokens: number;
}

export interface GatewayRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: Partial<CompletionRequest>;
  user?: Organisation;
}

/** Authenticates organisations by their key. */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(@Inject(OrganisationsService) private readonly organisations: OrganisationsService) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<GatewayRequest>();
    const organisation = this.organisations.findByKey(request.headers['x-api-key']);
    if (organisation === undefined) throw new UnauthorizedException('Send a key: x-api-key.');
    request.user = organisation;
    return true;
  }
}
