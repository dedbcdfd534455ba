import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Module } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import { RateLimitModule } from 'nestjs-limits';
import { LibraryResolver } from './library.resolver.js';

@Module({
  imports: [
    RateLimitModule.forRoot(),
    GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true }),
  ],
  providers: [LibraryResolver],
})
export class AppModule {}
