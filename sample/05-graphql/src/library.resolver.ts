import { UnauthorizedException, UseInterceptors } from '@nestjs/common';
import { Args, Int, Mutation, Query, Resolver } from '@nestjs/graphql';
import { RateLimit, RateLimitInfo, RateLimitInterceptor, type Decision } from 'nestjs-limits';

@Resolver()
export class LibraryResolver {
  /** Each alias counts: `{ a: book b: book }` takes two. */
  @Query(() => String, { nullable: true })
  @RateLimit('5/minute')
  book() {
    return 'Moby-Dick';
  }

  @Query(() => Int, { nullable: true })
  @RateLimit('60/minute')
  remaining(@RateLimitInfo() decision?: Decision) {
    return decision?.remaining;
  }

  /** Only wrong passwords count. */
  @Mutation(() => String, { nullable: true })
  @UseInterceptors(RateLimitInterceptor)
  @RateLimit('3/minute', { count: 'failure' })
  login(@Args('password') password: string) {
    if (password !== 'open sesame') throw new UnauthorizedException('Wrong password.');
    return 'Welcome back.';
  }
}
