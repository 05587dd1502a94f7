import { NestFactory } from '@nestjs/core';
import { Nowhere, serve, SyncEventModule } from './sync-event.js';

await serve(await NestFactory.create(SyncEventModule.with(Nowhere), { logger: false }));
