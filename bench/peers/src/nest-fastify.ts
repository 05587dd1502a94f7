import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Nowhere, serve, SyncEventModule } from './sync-event.js';

await serve(await NestFactory.create(SyncEventModule.with(Nowhere), new FastifyAdapter(), { logger: false }));
