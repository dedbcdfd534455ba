/**
 * Limits in OpenAPI documents, such as those of `@nestjs/swagger`. Needs no further package.
 *
 * @packageDocumentation
 */

export { documentRateLimits } from './document-rate-limits.js';
export type { DescribedLimit, DescribedLimits, DescribedPolicy } from './described-policies.js';
export type { OpenApiDocument } from './open-api.js';
