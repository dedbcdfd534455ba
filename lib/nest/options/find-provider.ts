import type { INestApplicationContext } from '@nestjs/common';
import { ConfigurationError } from '../../common/errors.js';

/**
 * Returns a provider of `RateLimitModule`, whichever module imports that.
 *
 * @param user what needs it, for the error
 * @throws ConfigurationError if the application does not import `RateLimitModule`
 */
export function findProvider(
  context: Pick<INestApplicationContext, 'get'>,
  token: symbol,
  user: string,
): unknown {
  try {
    return context.get<unknown>(token, { strict: false });
  } catch (cause) {
    throw new ConfigurationError(
      `${user} needs RateLimitModule, which this application does not import. Add RateLimitModule.forRoot() to its imports.`,
      { cause },
    );
  }
}
